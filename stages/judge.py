"""Score the answers of the base and the fine-tuned model against the references."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from reprotune.artifacts import SCORES, replaced_directory, write_json, write_table, write_text
from reprotune.console import note, run_stage
from reprotune.judging.answers import Answer, read_answers
from reprotune.judging.clients.ollama import OllamaClient
from reprotune.judging.clients.openai import OpenAIClient
from reprotune.judging.clients.protocol import Client
from reprotune.judging.scoring import ScoredAnswer, method_name, score_answers, score_row, verdict_lines
from reprotune.judging.store import ReplyStore
from reprotune.judging.summary import check_coverage, summarise
from reprotune.judging.verdicts import collect_verdicts
from reprotune.params.judge import JudgeParams
from reprotune.scratch import scratch_root

RECORDS_PATH = Path("data/split/test.parquet")
RESPONSES_PATHS = {model: Path(f"data/responses/{model}.parquet") for model in ("base", "finetuned")}
OUTPUT = Path("data/judgements")
CLIENTS: dict[str, Callable[[JudgeParams], Client]] = {"ollama": OllamaClient, "openai": OpenAIClient}


def judge(answers: Sequence[Answer], params: JudgeParams) -> tuple[list[ScoredAnswer], str]:
    """Return the scored answers and the verdicts as JSON lines (none without a judge)."""
    if params.backend == "offline":
        return score_answers(answers, params.rubric, None), ""
    client = CLIENTS[params.backend](params)
    try:
        with ReplyStore(scratch_root() / "judge" / "replies.jsonl") as store:
            scored = score_answers(answers, params.rubric, lambda questions: collect_verdicts(client, questions, store))
    finally:
        client.close()
    return scored, verdict_lines(scored, client.judge)


def main() -> None:
    """Run the stage."""
    params = JudgeParams.load("judge")
    answers = read_answers(RECORDS_PATH, RESPONSES_PATHS)
    scored, verdicts = judge(answers, params)
    method = method_name(params)
    metrics = summarise(scored, method, params.seed)
    check_coverage(metrics, params.min_coverage)
    with replaced_directory(OUTPUT) as folder:
        rows = [score_row(row, method) for row in scored]
        write_table(folder / "scores.parquet", pa.Table.from_pylist(rows, schema=SCORES))
        write_text(folder / "verdicts.jsonl", verdicts)
        write_json(folder / "metrics.json", metrics)
    note(f"judge: {method}: base {metrics['base']['score']:.1f}, fine-tuned {metrics['finetuned']['score']:.1f}")


if __name__ == "__main__":
    run_stage("judge", main)
