"""Two models' answers as the package alpaca-eval reads them, with an annotator for a judge of one's own.

That package joins on the instruction alone, fills texts into its prompt one after the other and cuts the result into
messages at control tokens. So each instruction occurs once here, and texts hold nothing that it would take for
structure. What was left out or broken up is counted.
"""

import hashlib
import io
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from reprotune.artifacts import MODELS, write_json, write_text
from reprotune.errors import UserError
from reprotune.judging.answers import Answer
from reprotune.judging.opponents import Opponent, asked
from reprotune.judging.questions.prompts import neutralised
from reprotune.params.sections.judge import JudgeParams

PROMPT = Path(__file__).with_name("prompt.txt")
MODEL_OUTPUTS, REFERENCE_OUTPUTS = "model_outputs.json", "reference_outputs.json"
VERSION = "0.6.6"
"""Of alpaca-eval, the release that the command was tried with."""
PLACEHOLDER = re.compile(r"\{(?=(?:instruction|output_1|output_2)\})")


class Exported(NamedTuple):
    """What was written."""

    rows: int
    repeated: int
    """Test rows left out because an earlier one asks the same."""
    broken_up: int
    """Texts in which something that looked like structure was broken up."""
    command: str
    """Scores the outputs, from any folder."""


def export_alpaca_eval(
    answers: Sequence[Answer], opponent: Opponent, name: str, params: JudgeParams, folder: Path
) -> Exported:
    """Write the fine-tuned answers, under `name`, and the opponent's into `folder`, with the annotator and the command.

    What else is in the folder stays: alpaca-eval keeps its verdicts beside the annotator, whose name is a hash of its
    settings, so that no other judge's verdicts are taken for its own. Raises `UserError` if both models have the same
    name, which alpaca-eval goes by.
    """
    if name == opponent.name:
        raise UserError(f"both models are called {name!r}: give the fine-tuned one another name with --name")
    own = {answer.id: answer for answer in answers if answer.model == MODELS[1]}
    others = opponent.answers or [answer for answer in answers if answer.model == MODELS[0]]
    written: dict[str, tuple[dict[str, str], dict[str, str]]] = {}
    broken_up = 0
    for other in others:
        item = own[other.id].item
        before = (asked(item.instruction, item.input), item.response, other.item.response)
        instruction, answer, others_answer = after = tuple(map(_harmless, before))
        if instruction not in written:
            broken_up += sum(new != old for new, old in zip(after, before, strict=True))
            written[instruction] = (
                _row(other.id, instruction, answer, name),
                _row(other.id, instruction, others_answer, opponent.name),
            )
    annotator = folder.resolve() / _write_annotator(params, folder)
    command = shlex.join(_command(folder.resolve(), annotator, name))
    for file, side in ((MODEL_OUTPUTS, 0), (REFERENCE_OUTPUTS, 1)):
        write_json(folder / file, [rows[side] for rows in written.values()])
    write_text(folder / "score.sh", f"{command}\n")
    return Exported(len(written), len(others) - len(written), broken_up, command)


def _row(identifier: str, instruction: str, output: str, generator: str) -> dict[str, str]:
    return {
        "id": identifier,
        "instruction": instruction,
        "output": output,
        "generator": generator,
        "dataset": "reprotune",
    }


def _harmless(text: str) -> str:
    return PLACEHOLDER.sub("{ ", neutralised(text))


def _command(folder: Path, annotator: Path, name: str) -> list[str]:
    """Return the command: own references, and the plain win rate, for the other one is fitted to AlpacaEval's own rows.

    Without a precomputed leaderboard nothing is fetched from the hub.
    """
    options = {
        "model_outputs": folder / MODEL_OUTPUTS,
        "reference_outputs": folder / REFERENCE_OUTPUTS,
        "annotators_config": annotator,
        "name": name,
        "output_path": folder / "results",
        "precomputed_leaderboard": None,
        "fn_metric": "get_winrate",
        "sort_by": "win_rate",
    }
    return ["alpaca_eval", *(word for key, value in options.items() for word in (f"--{key}", str(value)))]


def _write_annotator(params: JudgeParams, folder: Path) -> str:
    """Write the annotator and return the name of its folder; address and key come from the environment."""
    prompt = PROMPT.read_text(encoding="utf-8")
    settings: dict[str, Any] = {
        "fn_completions": "openai_completions",
        "completions_kwargs": {
            "model_name": params.model,
            "max_tokens": 8,
            "temperature": params.temperature,
            "seed": params.seed,
            "requires_chatml": True,
            "price_per_token": 0,
        },
        "fn_completion_parser": "regex_parser",
        # to the end, or what follows the letter would count as a second verdict
        "completion_parser_kwargs": {"outputs_to_match": {1: r"\A\W*A\b[\s\S]*", 2: r"\A\W*B\b[\s\S]*"}},
        "batch_size": 1,
    }
    digest = hashlib.sha256(json.dumps([settings, prompt], sort_keys=True).encode()).hexdigest()[:8]
    name = f"judge-{digest}"
    write_text(folder / name / PROMPT.name, prompt)
    # alpaca-eval takes a relative path for one inside its own package
    settings = {"prompt_template": str(folder.resolve() / name / PROMPT.name), **settings}
    text = io.StringIO()
    YAML(typ="safe", pure=True).dump({name: settings}, text)
    write_text(folder / name / "configs.yaml", text.getvalue())
    return name
