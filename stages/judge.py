"""Score the answers of the base and the fine-tuned model against the references."""

from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import MODELS, SCORES, replaced_directory, write_json, write_table, write_text
from reprotune.console import counted, note
from reprotune.judging.answers import read_answers, score_row
from reprotune.judging.contracts import CHECKED
from reprotune.judging.opponents import BASE, read_opponent
from reprotune.judging.run import check_run, judge_answers, method_name, opened_judge, run_metrics, transcript
from reprotune.judging.verifiable import checked_rows, read_checks
from reprotune.params.sections.judge import JudgeParams
from reprotune.pipeline.dvc_yaml import check_followed
from reprotune.pipeline.stage import run_stage

RECORDS_PATH = Path("data/split/test.parquet")
RESPONSES_PATHS = {model: Path(f"data/responses/{model}.parquet") for model in MODELS}
OUTPUT = Path("data/judgements")


def main() -> None:
    """Run the stage; if the judge turns out unreliable, it fails only after everything is written, for inspection."""
    params = JudgeParams.load("judge")
    for key, file in params.files.items():
        check_followed(f"judge.{key}", file)
    answers = read_answers(RECORDS_PATH, RESPONSES_PATHS)
    opponent = read_opponent(params.against if params.pairwise else BASE, answers)
    with opened_judge(params) as judge:
        run = judge_answers(answers, params, judge, opponent, read_checks(RECORDS_PATH))
        said = transcript(run, judge.identity) if judge else ""
    method = method_name(run.parts, run.mapping)
    metrics = run_metrics(run, params)
    with replaced_directory(OUTPUT) as folder:
        rows = [score_row(row, method) for row in run.answers]
        write_table(folder / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES))
        write_table(folder / "checks.parquet", pa.Table.from_pylist(checked_rows(run.checked), schema=CHECKED))
        write_text(folder / "verdicts.jsonl", said)
        write_json(folder / "metrics.json", metrics)
    if judge and params.expected_score:
        share = metrics["health"]["weighted_share"] or 0.0
        note(
            f"judge: {share:.0%} of the scores are weighted by token probabilities; the others count as written, "
            "because the service returned none there or the score is not a single token"
        )
    if opponent.unanswered or opponent.unmatched:
        note(
            f"judge: {opponent.name} has no answer to {counted(opponent.unanswered, 'test row')}, and "
            f"{counted(opponent.unmatched, 'answer')} to what no test row asks; neither is compared"
        )
    check_run(metrics, params)
    note(f"judge: {method}: base {metrics['base']['score']:.1f}, fine-tuned {metrics['finetuned']['score']:.1f}")


if __name__ == "__main__":
    run_stage("judge", main)
