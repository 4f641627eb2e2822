"""The artifact of checks that need no judge."""

import pyarrow as pa

from reprotune.artifacts import TEXT, contract, required

CHECKED = contract(
    "one check of one answer; empty where no test row has checks",
    required("id", TEXT, "The record, as in `data/split/test.parquet`."),
    required("model", TEXT, "`base`, `finetuned`, or `echo`: the prompt itself as the answer."),
    required("place", pa.int32(), "Which of the row's checks it is, counted from 0."),
    required("kind", TEXT, "The kind of check."),
    required("strict", pa.bool_(), "Whether the answer complies as it is."),
    required("loose", pa.bool_(), "Whether it does, or would without its first or last line or its asterisks."),
)
