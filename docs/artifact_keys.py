"""The keys of the JSON files and columns of the CSV files that the pipeline writes, with their meanings.

A test compares them with the files of a finished run.
"""

from reprotune.artifacts import STATISTICS

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
    "records": "records that they became",
    "rejected": "rows set aside",
    "reasons.<reason>": "rows set aside for each reason",
    "unused_columns": "columns of the source that play no part; absent where there are none",
    "sha256": "SHA-256 of the source file as fetched; of several, of their list as `sha256sum` prints it",
    "shape": "shape of the rows; absent where it is `instruction`",
    "not_taken": "usable rows that `max_rows` and `weight` left out; only with several sources",
    "sources.<name>": "`role`, the counts above and the rows `taken` of each source; only with several",
}
SPLIT_SUMMARY = {
    "rows.<split>": "records in each split",
    "near_duplicate_groups": "groups of two or more records that nearly repeat each other; null: not looked for",
    "rows_in_groups": "records in these groups",
    "rows_moved": "records that went to another split to keep their group together",
    "sources.<name>.<split>": "records of each source in each split; only with several sources",
    "contamination.train_rows_like_test": "training records in a group with one of a test source; only where a source "
    "has a role, as the next two",
    "contamination.train_rows_like_validation": "training records in a group with one of a validation source",
    "contamination.removed": "those that were taken out of training",
}
FORMAT_SUMMARY = {
    "template": "`format.template`",
    "response_header": "`format.response_header`",
    "rows.<split>": "rows in each split",
    "rows_with_marker.<marker>": "rows whose own text has a marker of the template or a special token (it stays text)",
}
MESSAGES = {
    "input_before": "what stands between an instruction and its input in the message; null where inputs are not told",
    "input_after": "what stands after the input",
    "refused": "why no message becomes the prompt; null where one does",
}
EXPORTED_FILE = {
    "bytes": "size of the file",
    "same_prompts": "share of the rows whose messages become the trained prompt; absent where nothing was compared, as "
    "the next two",
    "same_ids": "share of the rows of which it reads the same ids",
    "same_answers": "share of the rows with the same greedy answer",
}
PARITY = {
    "checked_with": "llama.cpp's bindings and their version; null where nothing was compared",
    "why_not": "why nothing was compared; null where something was",
    "rows": "test rows that were compared",
    **{f"files.<quantisation>.{key}": meaning for key, meaning in EXPORTED_FILE.items()},
    "files.<quantisation>.sha256": "hash of the file",
    "omitted.<quantisation>": "why there is no such file",
}
TOKEN_SUMMARY = {
    "<split>.rows": "rows that were kept",
    "<split>.tokens": "their tokens",
    "<split>.trained_token_share": "share of the tokens that are learned where instructions are masked",
    "<split>.trained_turns": "answers of conversations that are learned; absent where the records are instructions",
    "<split>.length.<quantile>": "tokens per row: `min`, `p25`, `median`, `p75`, `p95`, `p99`, `max`",
    "<split>.truncated_prompts": "rows whose prompt was cut from the left",
    "<split>.truncated_responses": "rows whose response was cut from the right",
    "<split>.dropped": "rows left out, for either of the next two reasons",
    "<split>.dropped_too_long": "longer than `tokenize.max_length`",
    "<split>.dropped_nothing_to_learn": "prompt or response would be empty",
    "<split>.seam_disagreements": "rows that would get other tokens if prompt and response were encoded as one text",
    "<split>.padding_share.<batching>": "share of padding that each `finetune.batching` would cost in batches of 8",
}
