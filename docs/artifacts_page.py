"""The page of artifacts: every file that the pipeline writes, its columns or keys and what they mean.

Columns of Parquet files are described next to their schemas in `reprotune.artifacts`. The keys of the other files are
described here; a test compares them with the files of a finished run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from reprotune.artifacts import CONTRACTS, FORMATTED, MODELS, RECORDS, REJECTED, RESPONSES, SCORES, STATISTICS, TOKENS

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

SCORE_INTERVAL = {
    "stderr": "standard error of the mean; null for fewer than two scores",
    "stderr_clustered": "the same if rows of a category depend on one another; null for fewer than eight categories",
    "ci95_low": "lower end of the 95 % interval, from the larger standard error",
    "ci95_high": "upper end",
}
CSV_ANSWER = {
    "response": "the answer",
    "score": "0 to 100; empty where there is none",
    "status": "as in `scores.parquet`",
    "finish_reason": "as in the Parquet files of answers",
    "response_tokens": "length of the answer in tokens",
    **dict.fromkeys((*STATISTICS, "number_agreement"), "as in `scores.parquet`"),
}
MODEL_SCORES = {
    "score": "mean score of the scored answers, 0 to 100",
    **SCORE_INTERVAL,
    "n": "answers that were scored",
    "unscored": "answers that were not",
    "coverage": "share of the answers that were scored",
    **dict.fromkeys(STATISTICS, "mean of the column in `scores.parquet`, over all answers"),
}
DIFFERENCE = {
    "difference.score": "mean of fine-tuned minus base, over the rows scored for both",
    **{f"difference.{key}": meaning for key, meaning in SCORE_INTERVAL.items()},
    "difference.n": "rows scored for both",
    "difference.p_value": "two-sided p of the paired sign-flip test that the mean difference is 0",
    "difference.verdict": "`better`, `worse`, `within noise`, `too few rows`, `unchanged` or `cannot be said`",
    "difference.smallest_detectable": "smallest difference that so many rows would show with 80 % power at 5 %",
}
HEALTH = {
    "health.canaries": "share of the canaries that were scored as they should be; null without canaries",
    "health.canaries_<kind>": "the same for each kind: `reference`, `foreign`, `empty`, `verbose`, `injection`, `pair`",
    "health.length_correlation_<model>": "Spearman correlation of score and length in characters, per model",
}
CANARY_INTERVALS = {
    "health.canary_intervals.<kind>.n": "canaries of the kind",
    "health.canary_intervals.<kind>.low": "lower end of the 95 % Wilson interval of their share",
    "health.canary_intervals.<kind>.high": "upper end; the run stops where it is below `judge.min_canary_pass`",
}
JUDGE_HEALTH = {
    "health.repeat_sd": "pooled standard deviation of repeated judgements of one answer; null without repeats",
    "health.weighted_share": "share of the judge's scores that are weighted by token probabilities",
    "health.probability_mass": "mean probability that the judge gave to all legal scores together",
}
PAIRS = {
    "pairwise.win_rate": "share of the pairs that the fine-tuned answer wins; a tie is half a win",
    "pairwise.verdict": "on the fine-tuned model, in the words of `difference.verdict`",
    "pairwise.ci95_low": "lower end of the 95 % interval that the verdict goes by; for a single pair Wilson's",
    "pairwise.ci95_high": "upper end",
    "pairwise.n": "pairs with a verdict",
    "pairwise.unscored": "pairs without one",
    "pairwise.coverage": "share of the pairs with a verdict",
    "pairwise.wins": "pairs that the fine-tuned answer wins",
    "pairwise.losses": "pairs that it loses",
    "pairwise.ties": "pairs that neither wins, or where the two orders disagree",
    "pairwise.identical": "ties of two equal answers, settled without a judge",
    "pairwise.mean_length_difference": "characters that the fine-tuned answer is longer, on average",
}
JUDGE_PAIRS = {
    "pairwise.length_adjusted_win_rate": "win rate that a logistic model expects between answers of equal length",
    "pairwise.length_adjusted_low": "lower end of its 95 % bootstrap interval",
    "pairwise.length_adjusted_high": "upper end",
    "pairwise.length_adjusted_unknown": "why there is no such rate",
    "pairwise.longer_share": "share of the pairs whose fine-tuned answer is the longer one",
    "pairwise.position_bias": "share of the judged pairs whose two verdicts name the same place",
    "pairwise.first_share": "mean share of the points given to the answer shown first: 0.5 is no bias",
}
JUDGE = {
    "judge.backend": "`judge.backend`; this object is there only where a judge was asked",
    "judge.model": "`judge.model`",
    "judge.digest": "digest of the judge's weights, where the service tells one",
    "judge.address": "where the judge ran: `local` or `remote`",
    "judge.rubric": "name of the rubric",
    "judge.rubric_sha256": "SHA-256 of its text",
    "judge.temperature": "as asked; null where the service refused one",
    "judge.repeats": "`judge.repeats`",
    "judge.expected_score": "whether scores are weighted by token probabilities",
    "judge.fingerprints": "what the service said of its build",
    "judge.served": "models that the service says it asked",
}
MAPPING = {
    "mapping.file": "name of `judge.mapping`; this object is there only where a mapping was applied",
    "mapping.sha256": "its SHA-256",
    "mapping.kind": "its kind",
    "mapping.n": "answers that it was fitted to",
    "mapping.held_out.<measure>": "agreement with labels that it was not fitted to, as `reprotune calibrate` shows it",
}
TRAINING = {
    "precision": "arithmetic of the matrix products: `bf16` or `fp32`",
    "steps": "optimizer steps that were run",
    "epochs": "passes over the training rows",
    "stopped_early": "whether early stopping ended the run",
    "trained_parameters": "number of weights that training changed",
    "tokens_seen": "tokens of all batches, padding not counted",
    "trained_tokens_seen": "those that the loss counted",
    "padding_share": "share of the computed positions that were padding",
    "initial.validation_loss": "validation loss before training, in nats per trained token",
    "best.step": "step of the checkpoint that was kept",
    "best.validation_loss": "its validation loss",
    "final.train_loss": "mean training loss of the last tenth of the steps",
    "final.validation_loss": "the last validation loss",
}
SPEED = {
    "seconds": "training with validation, loading left out",
    "tokens_per_second": "`tokens_seen` by `seconds`",
    "trained_tokens_per_second": "`trained_tokens_seen` by `seconds`",
    "shared_prefix_share": "share of the tokens that were not computed because rows begin alike",
    "peak_memory_mb": "most memory of the process, or of the GPU",
    "device": "processor and threads, or the GPU's name",
    "made_with.<what>": "what the model's bytes depend on besides params, code and data: `python`, `torch`, "
    "`reprotune`, `constraints_sha256`, `device_type`, `precision`",
}
TRAINED = {
    "trained.at": "when it ended, in UTC",
    "trained.system": "operating system and kind of processor",
    "trained.commit": "the commit that was checked out; null without Git",
    "trained.uncommitted": "followed files that differed from it, `dvc.lock` and `metrics/` aside",
}
RAW_SUMMARY = {
    "rows": "rows of the source",
    "records": "rows that became records",
    "rejected": "rows set aside",
    "reasons.<reason>": "rows set aside for each reason",
    "unused_columns": "columns of the source that play no part; absent where there are none",
    "sha256": "SHA-256 of the source file as fetched",
}
SPLIT_SUMMARY = {
    "rows.<split>": "records in each split",
    "near_duplicate_groups": "groups of two or more records that nearly repeat each other; null: not looked for",
    "rows_in_groups": "records in these groups",
    "rows_moved": "records that went to another split to keep their group together",
}
FORMAT_SUMMARY = {
    "template": "`format.template`",
    "response_header": "`format.response_header`",
    "rows.<split>": "rows in each split",
    "rows_with_marker.<marker>": "rows whose own text contains a marker of the template, as if it were part of it",
}
TOKEN_SUMMARY = {
    "<split>.rows": "rows that were kept",
    "<split>.tokens": "their tokens",
    "<split>.trained_token_share": "share of the tokens that belong to responses",
    "<split>.length.<quantile>": "tokens per row: `min`, `p25`, `median`, `p75`, `p95`, `p99`, `max`",
    "<split>.truncated_prompts": "rows whose prompt was cut from the left",
    "<split>.truncated_responses": "rows whose response was cut from the right",
    "<split>.dropped": "rows left out, for either of the next two reasons",
    "<split>.dropped_too_long": "longer than `tokenize.max_length`",
    "<split>.dropped_nothing_to_learn": "prompt or response would be empty",
    "<split>.seam_disagreements": "rows that would get other tokens if prompt and response were encoded as one text",
    "<split>.padding_share.<batching>": "share of padding that each `finetune.batching` would cost in batches of 8",
}


@dataclass(frozen=True)
class Artifact:
    """A file that a stage writes, or several alike."""

    path: str
    """Alternatives stand in braces, as in the shell."""
    meaning: str
    schema: pa.Schema | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of a JSON file or columns of a CSV file, with their meanings."""
    copied: bool = False
    """Whether the keys are left to the file that this one copies."""


SPLITS = "{train,validation,test}"
CHECKPOINT = (
    "`config.json` and `model.safetensors` in Hugging Face layout, with the tokenizer's files (`vocab.json`, "
    "`merges.txt`, `tokenizer_config.json`)"
)

STAGES: dict[str, Sequence[Artifact]] = {
    "fetch@dataset": (
        Artifact("data/raw/records.parquet", "The usable records.", RECORDS),
        Artifact("data/raw/rejected.parquet", "What cannot be used, each with its reason.", REJECTED),
        Artifact("data/raw/summary.json", "Counts of the rows.", keys=RAW_SUMMARY),
    ),
    "fetch@base": (
        Artifact("data/base/", f"The base model: {CHECKPOINT} where the source has them; weights may be in shards."),
    ),
    "split": (
        Artifact(f"data/split/{SPLITS}.parquet", "The records of each split.", RECORDS),
        Artifact("data/split/summary.json", "What was divided, and how.", keys=SPLIT_SUMMARY),
        Artifact(
            "data/split/near_duplicates.jsonl",
            "The groups of near-duplicates, one per line, the largest first; not written without grouping.",
            keys={"rows": "the group's rows: `split`, `id`, `source_row`, `instruction`, `input`"},
        ),
    ),
    "format": (
        Artifact(f"data/formatted/{SPLITS}.parquet", "The text that the model sees.", FORMATTED),
        Artifact("data/formatted/summary.json", "What was formatted.", keys=FORMAT_SUMMARY),
    ),
    "tokenize": (
        Artifact(f"data/tokens/{SPLITS}.parquet", "Token ids.", TOKENS),
        Artifact("data/tokens/summary.json", "What was kept, cut and dropped.", keys=TOKEN_SUMMARY),
    ),
    "finetune": (
        Artifact("data/model/", f"The fine-tuned model: {CHECKPOINT}."),
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
                **JUDGE,
                **MAPPING,
            },
        ),
        Artifact(
            "data/judgements/verdicts.jsonl",
            "A line for every question that a judge was asked about; empty with `judge.backend: offline`.",
            keys={
                "purpose": "`score` (an answer), `pairwise` (two answers), `canary` or `pair_canary` (known outcomes)",
                "id": "the record",
                "model": "whose answer it is, the kind of canary, or whose answer was shown first",
                "status": "as in `scores.parquet`",
                "score": "0 to 100, or null; for a pair, the points of the answer shown first",
                "scores": "the score of every repeat",
                "probability_masses": "probability of all legal scores together, where scores are weighted by it",
                "reasoning": "the judge's reasons",
                "replies": "every raw reply",
                "error": "why the service gave no reply, or null",
                "key": "hash of everything that shapes the reply: the same question is never asked twice",
                "judge": "backend, model, its digest and sampling options",
            },
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
    ),
}


def artifacts_page() -> str:
    """Return the page as Markdown: a heading for each stage and each of its files."""
    return "\n".join([HEAD, *(_stage_text(stage, artifacts) for stage, artifacts in STAGES.items())])


def _stage_text(stage: str, artifacts: Sequence[Artifact]) -> str:
    return "\n".join([f"## {stage}\n", *(_artifact_text(artifact) for artifact in artifacts)])


def _artifact_text(artifact: Artifact) -> str:
    lines = [f"### `{artifact.path}`", "", artifact.meaning]
    if artifact.schema is not None:
        contract = CONTRACTS[artifact.schema]
        lines[-1] += f" Each row is {contract.row}."
        lines += ["", "| column | type | meaning |", "|---|---|---|"]
        lines += [
            f"| `{column.name}` | {_type(column)} | {contract.columns[column.name]} |" for column in artifact.schema
        ]
    if artifact.keys and not artifact.copied:
        kind = "column" if artifact.path.endswith(".csv") else "key"
        lines += ["", f"| {kind} | meaning |", "|---|---|"]
        lines += [f"| `{key}` | {meaning} |" for key, meaning in artifact.keys.items()]
    return "\n".join(lines) + "\n"


def _type(column: pa.Field) -> str:
    kind = f"list of {column.type.value_type}" if pa.types.is_list(column.type) else str(column.type)
    return f"{kind}, may be null" if column.nullable else kind
