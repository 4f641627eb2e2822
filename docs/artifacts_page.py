"""The page of artifacts: every file that the pipeline writes, its columns or keys and what they mean.

Columns of Parquet files are described next to their schemas in `reprotune.artifacts`. The keys of the other files are
in `docs.artifact_keys`; a test compares them with the files of a finished run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from docs.artifact_keys import (
    BENCHMARK,
    BENCHMARK_SUMMARY,
    CANARY_INTERVALS,
    CHECK_KINDS,
    CHECKS,
    CSV_ANSWER,
    DIFFERENCE,
    EXPORTED_FILE,
    FORMAT_SUMMARY,
    HEALTH,
    JUDGE,
    JUDGE_HEALTH,
    JUDGE_PAIRS,
    MAPPING,
    MESSAGES,
    MODEL_SCORES,
    PAIRS,
    PARITY,
    PREFERENCE,
    PUBLISHED_REPEATS,
    RAW_SUMMARY,
    REPEATS,
    SPEED,
    SPLIT_SUMMARY,
    SWEEP_IMPORTANCE,
    SWEEP_RESULT,
    TOKEN_SUMMARY,
    TRAINED,
    TRAINING,
    TRUST,
)
from reprotune.artifacts import (
    CHECKED_CONVERSATIONS,
    CHECKED_CONVERSATIONS_WITH_SOURCE,
    CHECKED_RECORDS,
    CHECKED_RECORDS_WITH_SOURCE,
    CONTRACTS,
    CONVERSATIONS,
    CONVERSATIONS_WITH_SOURCE,
    FORMATTED,
    FORMATTED_TURNS,
    MODELS,
    RECORDS,
    RECORDS_WITH_SOURCE,
    REJECTED,
    REJECTED_WITH_SOURCE,
    RESPONSES,
    SCORES,
    TOKENS,
    TOKENS_TURNS,
)
from reprotune.judging.contracts import CHECKED
from reprotune.multiple_choice.contracts import CHOICES, DOCUMENTS, ITEMS
from reprotune.preference.contracts import BALLOT, VOTES
from reprotune.runs.contracts import ANSWERS
from reprotune.sweep.contracts import ROW_LOSSES, SECONDS, TRIALS

HEAD = """\
# Artifacts

Every file that the pipeline writes, in the order of the stages. Files under `data/` are kept in DVC's cache and, if
one is configured, its remote; files under `metrics/` are committed to Git.

- **Parquet** files have a fixed schema, checked whenever they are written or read; the same rows give the same bytes.
  A column is never null unless this page says so.
- **JSON** files have sorted keys and no NaN. A dot in a key means nesting, a part in `<angle brackets>` stands for any
  name, and null means that a number was not measured.
- A file appears only once it is complete; a failed stage leaves no partial file.

pandas reads them as they are:

```pycon
>>> import pandas as pd

>>> scores = pd.read_parquet("data/judgements/scores.parquet")
>>> sorted(scores["model"].unique())
['base', 'finetuned']

```
"""


@dataclass(frozen=True)
class Artifact:
    """A file that a stage writes, or several alike."""

    path: str
    """Alternatives stand in braces, as in the shell."""
    meaning: str
    schema: pa.Schema | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of a JSON file or columns of a CSV file, with their meanings."""
    forms: Mapping[str, pa.Schema] = field(default_factory=dict)
    """When it has another schema instead, in words, and which."""
    copied: bool = False
    """Whether the keys are left to the file that this one copies."""


RECORD_FORMS = {
    "With several sources": RECORDS_WITH_SOURCE,
    "Where a source has conversations or plain texts": CONVERSATIONS,
    "Of these, with several sources": CONVERSATIONS_WITH_SOURCE,
    "With a column of checks": CHECKED_RECORDS,
    "With several sources and checks": CHECKED_RECORDS_WITH_SOURCE,
    "Conversations with checks": CHECKED_CONVERSATIONS,
    "Of several sources": CHECKED_CONVERSATIONS_WITH_SOURCE,
}
SPLITS = "{train,validation,test}"
CHECKPOINT = (
    "`config.json` and `model.safetensors` in Hugging Face layout, with the tokenizer's files (`vocab.json`, "
    "`merges.txt`, `tokenizer_config.json`)"
)

STAGES: dict[str, Sequence[Artifact]] = {
    "fetch@dataset": (
        Artifact("data/raw/records.parquet", "The usable records.", RECORDS, forms=RECORD_FORMS),
        Artifact(
            "data/raw/rejected.parquet",
            "What cannot be used, each with its reason.",
            REJECTED,
            forms={"With several sources": REJECTED_WITH_SOURCE},
        ),
        Artifact("data/raw/summary.json", "Counts of the rows.", keys=RAW_SUMMARY),
    ),
    "fetch@base": (
        Artifact("data/base/", f"The base model: {CHECKPOINT} where the source has them; weights may be in shards."),
    ),
    "fetch@benchmark": (
        Artifact("data/benchmark/items.parquet", "The items of the benchmark and the examples for them.", ITEMS),
        Artifact("data/benchmark/rejected.parquet", "What cannot be used, each with its reason.", REJECTED),
        Artifact("data/benchmark/summary.json", "Counts of the rows.", keys=BENCHMARK_SUMMARY),
    ),
    "split": (
        Artifact(
            f"data/split/{SPLITS}.parquet",
            "The records of each split.",
            RECORDS,
            forms=RECORD_FORMS,
        ),
        Artifact("data/split/summary.json", "What was divided, and how.", keys=SPLIT_SUMMARY),
        Artifact(
            "data/split/near_duplicates.jsonl",
            "The groups of near-duplicates, one per line, the largest first; not written without grouping.",
            keys={
                "rows": "the group's rows: `split` (`(removed)` for one taken out of training), `id`, `source` of "
                "several, `source_row`, and `instruction` and `input`, or what a conversation `asked`"
            },
        ),
    ),
    "format": (
        Artifact(
            f"data/formatted/{SPLITS}.parquet",
            "The text that the model sees.",
            FORMATTED,
            forms={"Where the records are conversations": FORMATTED_TURNS},
        ),
        Artifact("data/formatted/summary.json", "What was formatted.", keys=FORMAT_SUMMARY),
        Artifact(
            "data/formatted/chat_template.jinja",
            "The chat template by which other programs write the prompts; where there can be none, one that says why "
            "whenever it is used.",
        ),
        Artifact("data/formatted/messages.json", "How a record becomes the user's message.", keys=MESSAGES),
    ),
    "tokenize": (
        Artifact(
            f"data/tokens/{SPLITS}.parquet",
            "Token ids.",
            TOKENS,
            forms={"Where the records are conversations": TOKENS_TURNS},
        ),
        Artifact("data/tokens/summary.json", "What was kept, cut and dropped.", keys=TOKEN_SUMMARY),
    ),
    "finetune": (
        Artifact(
            "data/model/",
            f"The fine-tuned model: {CHECKPOINT}, the trained `chat_template.jinja`, and a `generation_config.json` "
            "that decodes greedily up to the end of the text.",
        ),
        Artifact(
            "data/model/loss.csv",
            "A line per optimizer step.",
            keys={
                "step": "counted from 1",
                "epoch": "passes over the training rows so far",
                "tokens_seen": "tokens so far, padding not counted",
                "learning_rate": "of this step",
                "train_loss": "of this step's batch, in nats per trained token",
                "validation_loss": "of the whole validation set; empty where it was not measured",
            },
        ),
        Artifact("data/model/metrics.json", "Numbers of the run that a rerun gives again.", keys=TRAINING),
        Artifact(
            "data/speed/finetune.json",
            "Speed and origin: the one artifact that differs between reruns.",
            keys={**SPEED, **TRAINED},
        ),
    ),
    "generate@base, generate@finetuned": (
        Artifact("data/responses/{base,finetuned}.parquet", "Answers to the test prompts.", RESPONSES),
    ),
    "benchmark@base, benchmark@finetuned": (
        Artifact(
            "data/benchmarked/{base,finetuned}.parquet",
            "What each model says of the choices of a benchmark's items.",
            CHOICES,
        ),
        Artifact(
            "data/benchmarked/{base,finetuned}_text.parquet",
            "How well each model predicts the documents of `benchmark.text`; empty without one.",
            DOCUMENTS,
        ),
    ),
    "judge": (
        Artifact("data/judgements/scores.parquet", "A score for every answer of both models.", SCORES),
        Artifact(
            "data/judgements/metrics.json",
            "Means, intervals, checks of the judge; `pairwise` is null with `judge.pairwise: false`.",
            keys={
                "method": "what scored the answers: `offline_composite`, or `backend:model:rubric` of the judge",
                **{f"<model>.{key}": meaning for key, meaning in MODEL_SCORES.items()},
                "<model>.score_low": "mean score if every unscored answer had 0",
                "<model>.score_high": "mean score if every unscored answer had 100",
                "<model>.status.<status>": "answers with each status",
                **DIFFERENCE,
                "categories.<category>.n": "test rows of the category",
                "categories.<category>.<model>": "mean score per model",
                "categories.<category>.<model>_low": "lower end of its 95 % interval; null for fewer than six scores",
                "categories.<category>.<model>_high": "upper end",
                "categories.<category>.verdict": "on the fine-tuned model, in the words of `difference.verdict`",
                "categories.<category>.<model>_exact": "share of exact matches per model",
                **HEALTH,
                **CANARY_INTERVALS,
                **JUDGE_HEALTH,
                **PAIRS,
                **JUDGE_PAIRS,
                **CHECKS,
                **CHECK_KINDS,
                **JUDGE,
                **MAPPING,
            },
        ),
        Artifact("data/judgements/checks.parquet", "What needs no judge, check by check.", CHECKED),
        Artifact(
            "data/judgements/verdicts.jsonl",
            "A line for every question that a judge was asked about; empty with `judge.backend: offline`.",
            keys={
                "purpose": "`score` (an answer), `pairwise` (two answers), `canary` or `pair_canary` (known outcomes)",
                "id": "the record",
                "model": "whose answer it is, the kind of canary, or whose was shown first (`opponent`: a file's)",
                "status": "as in `scores.parquet`",
                "score": "0 to 100, or null; for a pair, the points of the answer shown first",
                "scores": "the score of every repeat",
                "probability_masses": "probability of all legal scores together, where scores are weighted by it",
                "reasoning": "the judge's reasons",
                "replies": "every raw reply; of one above 32,768 characters, its beginning and its end",
                "error": "why the service gave no reply, or null",
                "key": "hash of everything that shapes the reply: the same question is never asked twice",
                "judge": "backend, model, its digest and sampling options",
            },
        ),
    ),
    "preference": (
        Artifact("data/preference/votes.parquet", "Every vote in `data/votes/`.", VOTES),
        Artifact(
            "data/preference/metrics.json",
            "What people prefer, and how far to trust them.",
            keys={
                **PREFERENCE,
                "ratings": "null for fewer than three models",
                "scorers.<name>.joined": "null for fewer than two votes",
                "ratings.separated": "groups of models between which all votes go one way, so that no rating fits",
                "ratings.tied_ranks": "neighbours in the ranking that the votes do not tell apart",
                "by_voter.<voter>.votes": "votes of one voter, controls left out",
                **{f"by_voter.<voter>.{key}": f"{meaning}, of one voter" for key, meaning in TRUST.items()},
            },
        ),
    ),
    "export": (
        Artifact(
            "data/export/gguf/",
            "The model for other programs: `model-<quantisation>.gguf` for each of `export.quantisations`, Ollama's "
            "`Modelfile`, `chat_template.jinja`, and a `generation_config.json` with the longest answer.",
        ),
        Artifact("data/export/gguf/parity.json", "How the files compare with our own decoder.", keys=PARITY),
    ),
    "card": (
        Artifact(
            "data/export/README.md",
            "The model card: base, data, scores, exam and retention with their intervals, votes, how to prompt, "
            "limits, every setting.",
        ),
    ),
    "report": (
        Artifact("data/report/index.html", "The report: one page that needs no network."),
        Artifact(
            "data/report/rows.csv",
            "A line per test row, for spreadsheets ([how texts are written](reviewing.md#all-rows-in-a-spreadsheet)).",
            keys={
                "id": "the record",
                "number": "place in the test set, from 1",
                "category": "the kind of task; empty where there is none",
                "instruction": "the task in words",
                "input": "the task's material",
                "reference": "the wanted answer",
                **{f"{model}_{name}": meaning for model in MODELS for name, meaning in CSV_ANSWER.items()},
                "gain": "fine-tuned score minus base score; empty unless both are scored",
            },
        ),
        Artifact(
            "metrics/scores.json",
            "For `dvc metrics diff`: scores of both models; what was not measured is left out.",
            keys={
                "method": "what scored the answers",
                **{f"<model>.{key}": meaning for key, meaning in MODEL_SCORES.items()},
                **DIFFERENCE,
                **HEALTH,
                **JUDGE_HEALTH,
                **PAIRS,
                **JUDGE_PAIRS,
                **CHECKS,
            },
        ),
        Artifact(
            "metrics/training.json",
            "The numbers of [`data/model/metrics.json`](#datamodelmetricsjson).",
            keys=TRAINING,
            copied=True,
        ),
        Artifact(
            "metrics/data.json",
            "The numbers of [`data/raw/summary.json`](#datarawsummaryjson), [split](#datasplitsummaryjson), "
            "[formatted](#dataformattedsummaryjson) and [tokens](#datatokenssummaryjson), each under its name.",
            keys={
                f"{name}.{key}": meaning
                for name, keys in {
                    "raw": RAW_SUMMARY,
                    "split": SPLIT_SUMMARY,
                    "formatted": FORMAT_SUMMARY,
                    "tokens": TOKEN_SUMMARY,
                }.items()
                for key, meaning in keys.items()
            },
            copied=True,
        ),
        Artifact(
            "metrics/speed.json",
            "The numbers of [`data/speed/finetune.json`](#dataspeedfinetunejson), its origin left out.",
            keys=SPEED,
            copied=True,
        ),
        Artifact(
            "metrics/benchmark.json",
            "Right answers to the benchmark and the loss on plain text, for `dvc metrics diff`; what was not measured "
            "is left out ([what each is worth](what-a-number-is-worth.md)).",
            keys=BENCHMARK,
        ),
        Artifact(
            "metrics/preference.json",
            "The numbers of [`data/preference/metrics.json`](#datapreferencemetricsjson), those of single voters left "
            "out; without votes, their number alone.",
            keys=PREFERENCE,
            copied=True,
        ),
        Artifact(
            "metrics/export.json",
            "The numbers of [`data/export/gguf/parity.json`](#dataexportggufparityjson).",
            keys={
                "checked_with": PARITY["checked_with"],
                "rows": PARITY["rows"],
                **{f"<quantisation>.{key}": meaning for key, meaning in EXPORTED_FILE.items()},
            },
        ),
        Artifact(
            "metrics/plots/loss.csv",
            "A line per validation, for `dvc plots diff`.",
            keys={
                "step": "0 is before training",
                "epoch": "passes over the training rows so far",
                "train_loss": "mean over the steps since the line above, in nats per trained token",
                "validation_loss": "of the whole validation set",
            },
        ),
        Artifact(
            "metrics/plots/scores.csv",
            "How many answers fall in each range of ten points.",
            keys={"score": "the range", "base": "answers of the base model", "finetuned": "of the fine-tuned model"},
        ),
        Artifact(
            "metrics/plots/length.csv",
            "A line per scored answer of the fine-tuned model.",
            keys={"response_tokens": "length of the answer", "score": "0 to 100"},
        ),
        Artifact(
            "metrics/plots/categories.csv",
            "A line per category; a file of its own, because each metric is a column of `dvc exp show`.",
            keys={
                "category": "by name, `<` and control characters spelled out; no line without categories",
                "n": "test rows",
                "base": "mean score of the base model's answers, empty where none was scored",
                "finetuned": "of the fine-tuned model's",
                "base_exact": "share of the base model's answers that equal the reference",
                "finetuned_exact": "of the fine-tuned model's",
            },
        ),
        Artifact(
            "metrics/plots/subjects.csv",
            "A line per subject of the benchmark; with several formulations, one for each.",
            keys={
                "subject": "by name, `<` and control characters spelled out",
                "n": "items that were asked",
                "base": "share of them that the base model has right",
                "base_low": "lower end of its 95 % Wilson interval",
                "base_high": "upper end",
                "finetuned": "share that the fine-tuned model has right",
                "finetuned_low": "lower end of its interval",
                "finetuned_high": "upper end",
            },
        ),
    ),
}

BY_COMMANDS = (
    Artifact(
        "data/votes/<name>.ballot.parquet",
        "The key of a ballot, written by `reprotune ballot`; `<name>.ballot.html` beside it is the page.",
        BALLOT,
    ),
    Artifact(
        "data/votes/*.jsonl",
        "Votes, written by `reprotune votes add`: one a line. Imported ones, and those of the chat page, have "
        "`model_a`, `model_b`, `winner` and `question` instead of `ballot`, `pair`, `choice` and `seconds`.",
        keys={
            "ballot": "SHA-256 of the ballot's key",
            "pair": "the pair",
            "voter": "who voted",
            "choice": "`left`, `right`, `same` or `both_bad`",
            "seconds": "time between the pair and the vote, or null",
        },
    ),
)
"""Files that no stage writes; Git keeps them."""

BY_REPEATS = (
    Artifact("data/repeats/answers.parquet", "The answers of every run, with their scores.", ANSWERS),
    Artifact("data/repeats/metrics.json", "Means, spread over seeds, intervals, agreement.", keys=REPEATS),
    Artifact(
        "metrics/repeats.json",
        "For `dvc metrics diff`: the main numbers of the file before; what was not measured is left out.",
        keys=PUBLISHED_REPEATS,
    ),
)
"""Files of the pipeline that `reprotune repeat` writes."""

BY_SWEEPS = (
    Artifact("data/sweep/<name>/trials.parquet", "Every trial, and the finalists with fresh seeds.", TRIALS),
    Artifact("data/sweep/<name>/rows.parquet", "The losses of the finalists row by row.", ROW_LOSSES),
    Artifact("data/sweep/<name>/seconds.parquet", "Time.", SECONDS),
    Artifact("data/sweep/<name>/result.json", "Who has won, and by how much.", keys=SWEEP_RESULT),
    Artifact("data/sweep/<name>/importance.json", "What each param has to do with the loss.", keys=SWEEP_IMPORTANCE),
    Artifact(
        "data/sweep/<name>/curves.csv",
        "A line per trial and rung.",
        keys={"trial": "its number", "rung": "share of its steps", "loss": "mean over the seeds"},
    ),
    Artifact(
        "data/sweep/<name>/effects.csv",
        "A line per param and group of its values: `groups` of `importance.json`.",
        keys={
            "param": "dotted key",
            "values": "the choice, or the part of the range",
            "trials": "how many",
            "loss": "geometric mean at the first rung",
            "ci95_low": "lower end of its 95 % interval; empty for fewer than two trials",
            "ci95_high": "upper end",
        },
    ),
    Artifact("data/sweep/<name>/index.html", "All of it as a page that needs no network."),
)
"""Files of the pipeline that `reprotune sweep prepare` writes."""


def artifacts_page() -> str:
    """Return the page as Markdown: a heading for each stage and each of its files."""
    beside = {
        "Votes, kept in Git": BY_COMMANDS,
        "Repeats, a pipeline of their own": BY_REPEATS,
        "Sweeps, a pipeline of their own": BY_SWEEPS,
    }
    stages = {**STAGES, **beside}
    return "\n".join([HEAD, *(_stage_text(stage, artifacts) for stage, artifacts in stages.items())])


def _stage_text(stage: str, artifacts: Sequence[Artifact]) -> str:
    return "\n".join([f"## {stage}\n", *(_artifact_text(artifact) for artifact in artifacts)])


def _artifact_text(artifact: Artifact) -> str:
    lines = [f"### `{artifact.path}`", "", artifact.meaning]
    if artifact.schema is not None:
        contract = CONTRACTS[artifact.schema]
        lines[-1] += f" Each row is {contract.row}."
        lines += ["", *_columns(artifact.schema)]
    for when, schema in artifact.forms.items():
        lines += ["", f"{when}, each row is {CONTRACTS[schema].row}:", "", *_columns(schema, but=artifact.schema)]
    if artifact.keys and not artifact.copied:
        kind = "column" if artifact.path.endswith(".csv") else "key"
        lines += ["", f"| {kind} | meaning |", "|---|---|"]
        lines += [f"| `{key}` | {meaning} |" for key, meaning in artifact.keys.items()]
    return "\n".join(lines) + "\n"


def _columns(schema: pa.Schema, but: pa.Schema | None = None) -> list[str]:
    """Return the table of a schema's columns; those that `but` has as well are named in its last line."""
    meanings, shown = CONTRACTS[schema].columns, [field for field in schema if but is None or field not in list(but)]
    lines = ["| column | type | meaning |", "|---|---|---|"]
    lines += [f"| `{column.name}` | {_type(column)} | {meanings[column.name]} |" for column in shown]
    if same := [f"`{column.name}`" for column in schema if column not in shown]:
        lines += [f"| {', '.join(same)} | | as above |"]
    return lines


def _type(column: pa.Field) -> str:
    kind = f"list of {column.type.value_type}" if pa.types.is_list(column.type) else str(column.type)
    return f"{kind}, may be null" if column.nullable else kind
