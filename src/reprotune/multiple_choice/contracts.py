"""The artifacts of benchmarks: items, what a model says of each choice, and how well it predicts plain text."""

import pyarrow as pa

from reprotune.artifacts import TEXT, contract, optional, required

LOG_PROBABILITIES = pa.list_(pa.field("element", pa.float64(), nullable=False))
COUNTS = pa.list_(pa.field("element", pa.int32(), nullable=False))
TEXTS = pa.list_(pa.field("element", TEXT, nullable=False))

ITEM, SHOT = "item", "shot"
"""Roles of an item: asked and scored, or shown as an example before those that are asked."""

ITEMS = contract(
    "one multiple-choice item; empty where there is no benchmark",
    required(
        "id",
        TEXT,
        "Identifies the item: 16 hex digits, a hash of its subject, context, question and choices; repeats end in "
        "`-2`, `-3`, ... and count as one cluster.",
    ),
    required("task", TEXT, "The benchmark's name, `fetch.benchmark.task`."),
    required("subject", TEXT, "What it asks about; the task's name where the source has no subjects."),
    optional("group", TEXT, "The group of subjects, for sums over several; null where there are none."),
    optional("context", TEXT, "What is read before the question; null where there is none."),
    required("question", TEXT, "The question, or the beginning that the choices continue."),
    required("choices", TEXTS, "The options, in the order of the source."),
    required("answer", pa.int32(), "Which choice is right, counted from 0."),
    required("role", TEXT, "`item`: asked and scored; `shot`: an example that is shown before others."),
    required("source_row", pa.int64(), "The row of the source, counted from 0 through all of its files."),
)

CHOICES = contract(
    "one item under one formulation, with what a model says of its choices; nothing is derived, so that every "
    "normalisation comes from here without running the model again",
    required("id", TEXT, "The item, as in data/benchmark/items.parquet."),
    required("formulation", TEXT, "How it was asked, e.g. `letters_5shot_plain`."),
    required("prompt_sha256", TEXT, "SHA-256 of the prompt in UTF-8, before anything was cut."),
    required("prompt_tokens", pa.int32(), "Tokens of the prompt that the model read."),
    required("cut_tokens", pa.int32(), "Tokens that were cut from the prompt's beginning, so that it fits."),
    required("shots", pa.int32(), "Examples in the prompt, after any were left out to make it fit."),
    required("logprobs", LOG_PROBABILITIES, "Log-probability of each choice after the prompt, in nats."),
    required("choice_tokens", COUNTS, "Tokens of each choice."),
    optional(
        "unconditional",
        LOG_PROBABILITIES,
        "Log-probability of each choice after nothing but the first token of a text, in nats; null for letters.",
    ),
    # An item is asked once under each formulation, so `id` alone does not tell the rows apart.
    required("model", TEXT, "`base` or `finetuned`."),
)

DOCUMENTS = contract(
    "one document of the plain text that shows what fine-tuning forgot",
    required("id", TEXT, "16 hex digits, a hash of the text; repeats end in `-2`, `-3`, ..."),
    required("bytes", pa.int32(), "Length in UTF-8."),
    required("tokens", pa.int32(), "Tokens whose prediction counts."),
    required("nats", pa.float64(), "Sum of their negative log-probabilities."),
)
