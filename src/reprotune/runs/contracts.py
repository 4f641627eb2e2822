"""The artifact of repeats."""

import pyarrow as pa

from reprotune.artifacts import TEXT, contract, optional, required

ANSWERS = contract(
    "one answer of one run; sorted by the place of the seed, then by row",
    required("seed", pa.int64(), "`finetune.seed` of the run; its `generate.seed` is as far from that of params.yaml."),
    required("row", TEXT, "The record, as `id` in `data/split/test.parquet`."),
    optional("category", TEXT, "The kind of task; null where the source names none."),
    required("response", TEXT, "The answer."),
    required("status", TEXT, "As in `data/judgements/scores.parquet`."),
    optional("score", pa.float64(), "0 to 100; null where the judge gave no score."),
    required("exact_match", pa.float64(), "As in `data/judgements/scores.parquet`, as are the columns that follow."),
    required("chrf", pa.float64(), "chrF2, 0 to 1."),
    required("rouge_l", pa.float64(), "ROUGE-L, 0 to 1."),
    required("token_f1", pa.float64(), "F1 of the two multisets of words, 0 to 1."),
    required("repetition", pa.float64(), "Share of the answer's word 3-grams that occurred before."),
    required("length_ratio", pa.float64(), "Shorter length in characters divided by the longer."),
)
