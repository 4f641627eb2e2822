"""The commands `pairwise`, `export-alpaca-eval` and `calibrate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(rich_markup_mode=None)


@app.command()
def pairwise(
    first: Annotated[Path, typer.Argument(help="Responses of the baseline (a Parquet file of the generate stage).")],
    second: Annotated[Path, typer.Argument(help="Responses of the candidate.")],
    records: Annotated[Path, typer.Option(help="The records that both answer.")] = Path("data/split/test.parquet"),
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two models' answers pair by pair.

    The judge that params.yaml names sees every pair in both orders, and no question is asked twice. With
    `judge.backend: offline` the offline composite decides.
    """
    from reprotune.judging.answers import read_answers
    from reprotune.judging.pairs import summarise_pairs
    from reprotune.judging.run import compare_answers, opened_judge
    from reprotune.params.sections.judge import JudgeParams
    from reprotune.results.words import pair_facts

    params = JudgeParams.load("judge")
    answers = read_answers(records, {"baseline": first, "candidate": second})
    with opened_judge(params) as judge:
        found = summarise_pairs(compare_answers(answers, params, judge))
    if json_output:
        print(json.dumps(found, indent=2))
        return
    facts = pair_facts(found, "candidate")
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        print(f"{name:{width}}  {value}")
    if not facts:
        print(f"no verdict on any of the {found['unscored']} pairs")


@app.command()
def export_alpaca_eval(
    output: Annotated[Path, typer.Option(help="The folder to write.")] = Path("alpaca-eval"),
    against: Annotated[
        str | None,
        typer.Option(help="The other model: base, reference or a file of outputs.  [default: judge.against]"),
    ] = None,
    name: Annotated[str, typer.Option(help="What the fine-tuned model is called.")] = "finetuned",
) -> None:
    """Write both models' answers for the package alpaca-eval.

    Beside `model_outputs.json` and `reference_outputs.json` there is an annotator for the judge that params.yaml names,
    behind any OpenAI-compatible service, and the command that scores the outputs.
    """
    from reprotune.artifacts import MODELS
    from reprotune.console import counted
    from reprotune.judging.alpaca_eval.export import VERSION, export_alpaca_eval
    from reprotune.judging.answers import read_answers
    from reprotune.judging.opponents import read_opponent
    from reprotune.params.sections.judge import JudgeParams

    params = JudgeParams.load("judge")
    responses = {model: Path(f"data/responses/{model}.parquet") for model in MODELS}
    answers = read_answers(Path("data/split/test.parquet"), responses)
    opponent = read_opponent(params.against if against is None else against, answers)
    done = export_alpaca_eval(answers, opponent, name, params, output)
    print(f"{output}: {counted(done.rows, 'instruction')} answered by {name} and {opponent.name}")
    for count, what in (
        (opponent.unanswered, "test rows without an answer of the other model are left out"),
        (done.repeated, "test rows that ask the same as an earlier one are left out"),
        (done.broken_up, "texts held control tokens or placeholders, which are broken up"),
    ):
        if count:
            print(f"{count} {what}")
    print(f"Install alpaca-eval {VERSION} and setuptools<81 in an environment of their own; set OPENAI_BASE_URL and")
    print("OPENAI_API_KEY (any text for a service that wants none); then run:")
    print(done.command)


@app.command()
def calibrate(
    file: Annotated[Path, typer.Argument(help="JSON list of objects with instruction, input, output and an answer.")],
    answer: Annotated[str, typer.Option(help="Field with the answer.")] = "answer",
    labels: Annotated[str, typer.Option(help="Labels 0..100: a file with a JSON list, or a field of FILE.")] = "label",
    scores: Annotated[list[str] | None, typer.Option(help="Scores to compare: a file or a field; repeatable.")] = None,
    judge: Annotated[bool, typer.Option("--judge", help="Score with the judge that params.yaml names.")] = False,
    mapping: Annotated[Path | None, typer.Option(help="Apply this stored mapping to the scores first.")] = None,
    fit: Annotated[str | None, typer.Option(help="Fit a mapping to the labels: isotonic or ridge.")] = None,
    output: Annotated[Path, typer.Option(help="Where --fit stores it.")] = Path("calibration.json"),
) -> None:
    """Compare scores with labels.

    The scores are a judge's, a person's or, by default, those of the offline composite. Prints Pearson, Spearman and
    Kendall correlations, the mean absolute error, Cohen's kappa of five grades with quadratic weights, the mean bias,
    and how closely the errors follow the answers' length.
    """
    from reprotune.judging.labels.labelled import run_calibration
    from reprotune.params.sections.judge import JudgeParams

    params = JudgeParams.load("judge") if judge else None
    for line in run_calibration(file, answer, labels, scores or [], params, mapping, fit, output):
        print(line)
