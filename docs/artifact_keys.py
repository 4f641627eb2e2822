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
    "pairwise.against": "whose answers the others were compared with: `base`, `reference`, or what a file says",
    "pairwise.unanswered": "test rows that these have no answer to",
    "pairwise.unmatched": "answers of theirs to what no test row asks",
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
CHECKS = {
    "checks.n": "test rows with checks; the object is there only where a row has some",
    "checks.n_checks": "checks of all these rows",
    **{
        f"checks.<answers>.{key}": meaning
        for key, meaning in {
            "rows_strict": "share of the rows whose checks all hold: of `base`, `finetuned`, `echo` (the prompt itself "
            "as the answer) and `empty` (no text)",
            "rows_strict_low": "lower end of its 95 % Wilson interval",
            "rows_strict_high": "upper end",
            "rows_loose": "the same, where first line, last line and asterisks may be left out of an answer",
            "checks_strict": "share of the checks that hold",
            "checks_loose": "the same, loosely",
        }.items()
    },
    "checks.difference.rows_strict": "mean of fine-tuned minus base in strict rows",
    "checks.difference.ci95_low": "lower end of its 95 % interval",
    "checks.difference.ci95_high": "upper end",
    "checks.difference.p_value": "two-sided p of the paired sign-flip test",
    "checks.difference.verdict": "in the words of `difference.verdict`",
}
CHECK_KINDS = {
    "checks.kinds.<kind>.n": "checks of the kind",
    "checks.kinds.<kind>.<answers>": "share of them that hold strictly: of `base`, `finetuned` and `echo`",
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
BENCHMARK_SUMMARY = {
    "rows": "rows of the source",
    "items": "items that are asked",
    "shots": "examples that may be shown before them",
    "other_splits": "rows of splits that are neither",
    "rejected": "rows set aside",
    "reasons.<reason>": "rows set aside for each reason",
    "subjects": "subjects of the items and examples",
    "options.<count>": "items and examples with so many choices",
    "repeated": "those whose subject, context, question and choices are those of an earlier one",
    "equal_choices": "those with two equal choices, between which only letters decide",
    "groups": "whose groups of subjects the items have; null where no subject is one of MMLU's",
    "sha256": "SHA-256 of the source as fetched; of several files, of their list as `sha256sum` prints it; absent "
    "without a source",
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
RATE_ERRORS = {
    "stderr": "standard error: the variance within subjects, pooled, by the items (as lm-eval's groups have it)",
    "stderr_clustered": "the same if repeated items depend on one another; only where there are some",
    "ci95_low": "lower end of the 95 % interval, from the larger standard error",
    "ci95_high": "upper end",
}
BENCHMARK_MODEL = {
    "accuracy": "share of the items whose right choice has the largest sum of log-probabilities; of equal ones the "
    "first is taken",
    **RATE_ERRORS,
    "n": "items",
    "macro_accuracy": "mean of the subjects' accuracies",
    "accuracy_per_character": "with the sum by code points of the choice (lm-eval's `acc_norm`); for cloze only",
    "accuracy_per_token": "with the sum by tokens",
    "accuracy_per_byte": "with the sum by bytes",
    "accuracy_unconditional": "with the log-probability of the choice without the question taken from the sum",
    "right_probability": "mean probability of the right choice among the choices",
    "brier": "mean sum of squared errors of these probabilities: 0 is best, 2 worst",
    "near_ties": "items whose two likeliest choices are less than 0.01 nats apart",
    "cut_prompts": "items whose prompt did not fit and was cut",
    "position_shares.<position>": "share of the items for which each position was chosen, counted from 1",
    "above_constant": "whether the whole interval is above `trivial.best_constant`",
}
BENCHMARK_DIFFERENCE = {
    "accuracy": "fine-tuned minus base, on the same items",
    **{key: RATE_ERRORS[key] for key in ("stderr_clustered", "ci95_low", "ci95_high")},
    "stderr": "standard error of the mean of the items' differences",
    "smallest_detectable": "smallest difference that so many items would show with 80 % power at 5 %",
    "n": "items",
    "gained": "items that only the fine-tuned model has right",
    "lost": "items that only the base model has right",
    "p_value": "exact two-sided p of McNemar's test; repeated items are one",
    "verdict": "in the words of `difference.verdict` of `scores.json`",
}
BENCHMARK_TRIVIAL = {
    "chance": "what a draw among the choices gets",
    "best_constant": "what always the same position gets, if it is the best one",
    "best_constant_position": "that position, counted from 1",
    "longest_option": "what always the longest choice gets",
    "position_shares.<position>": "share of the items whose right choice has each position",
}
RETENTION_LOSS = {
    "bits_per_byte": "sum of the losses by the sum of the bytes",
    "stderr": "its standard error over documents, by the delta method",
    "stderr_clustered": "the same if repeated documents depend on one another; only where there are some",
    "ci95_low": "lower end of the 95 % interval",
    "ci95_high": "upper end",
    "n": "documents",
}
BENCHMARK = {
    "<task>.<formulation>.items": "items that were asked",
    **{f"<task>.<formulation>.trivial.{key}": meaning for key, meaning in BENCHMARK_TRIVIAL.items()},
    **{f"<task>.<formulation>.<model>.{key}": meaning for key, meaning in BENCHMARK_MODEL.items()},
    **{f"<task>.<formulation>.difference.{key}": meaning for key, meaning in BENCHMARK_DIFFERENCE.items()},
    "<task>.<formulation>.groups.<group>.n": "items of a group of subjects; where lm-eval and Hendrycks et al. fill it "
    "with other subjects, the name ends in whose group it is",
    "<task>.<formulation>.groups.<group>.<model>": "accuracy on them",
    "<task>.<formulation>.groups.<group>.<model>_low": "lower end of its 95 % Wilson interval",
    "<task>.<formulation>.groups.<group>.<model>_high": "upper end",
    **{f"retention.<model>.{key}": meaning for key, meaning in RETENTION_LOSS.items()},
    **{f"retention.difference.{key}": meaning for key, meaning in RETENTION_LOSS.items()},
    "retention.difference.bits_per_byte": "fine-tuned minus base; above 0 the fine-tuned model predicts worse",
    "retention.difference.p_value": "two-sided p of the paired sign-flip test over documents",
    "retention.difference.smallest_detectable": "smallest difference that so many documents would show with 80 % power",
    "retention.difference.verdict": "`forgot`, `improved`, `within noise`, `unchanged`, `too few rows` or `cannot be "
    "said`",
}
COMPARISONS = {
    "comparisons.<pair>.candidate": "the model that is compared; `<pair>` is `<candidate>_against_<baseline>`",
    "comparisons.<pair>.baseline": "with which it is compared",
    "comparisons.<pair>.pairs": "pairs voted on; several votes on one pair count once, as their majority",
    "comparisons.<pair>.wins": "pairs that the candidate wins",
    "comparisons.<pair>.losses": "pairs that the baseline wins",
    "comparisons.<pair>.ties": "pairs without a majority for either",
    "comparisons.<pair>.both_bad": "of these, those that most voters called both bad",
    "comparisons.<pair>.identical": "pairs of the ballots that were not shown because the answers are equal",
    "comparisons.<pair>.share": "share of pairs with a winner that the candidate wins",
    "comparisons.<pair>.ci95_low": "lower end of its 95 % interval, which holds whenever the vote is stopped",
    "comparisons.<pair>.ci95_high": "upper end",
    "comparisons.<pair>.evidence": "against equal models, as a likelihood ratio; 20 decides, at most 5.3e11 is shown",
    "comparisons.<pair>.verdict": "on the candidate: `better` or `worse` if the vote is decided, else `open`",
    "comparisons.<pair>.win_rate": "ties as half a win, pairs of equal answers among them",
    "comparisons.<pair>.without_a_voter_low": "smallest `share` with any one voter left out; null for one voter",
    "comparisons.<pair>.without_a_voter_high": "largest",
}
RATINGS = {
    "ratings.models.<model>.rating": "from three models on: strength after Bradley and Terry, 400 points for odds of "
    "ten to one, mean 1000; `ratings` is null for fewer",
    "ratings.models.<model>.ci95_low": "lower end of its 95 % interval (sandwich estimator, votes on one record as one "
    "cluster); null where models are separated",
    "ratings.models.<model>.ci95_high": "upper end",
}
TRUST = {
    "controls_empty": "votes on an answer against none",
    "failed_empty": "of these, those not for the answer",
    "controls_identical": "votes on an answer against itself",
    "failed_identical": "of these, those for a side",
    "repeated": "votes on a pair that the voter had seen with sides swapped",
    "consistent_share": "share of these that agree with the first vote",
    "decisive": "votes for either answer",
    "left_share": "share of these for the answer shown first",
    "fast": "votes in less than `preference.min_seconds`",
}
PREFERENCE = {
    "votes": "votes counted, controls left out",
    "voters": "people who gave them",
    "ballots": "ballots and imported files that they are from",
    "double": "further votes of one voter on one pair, of which the last counts",
    "over_cap": "votes beyond `preference.max_votes_per_voter`, not counted",
    "outdated": "pairs voted on whose answers base or fine-tuned model no longer gives",
    **TRUST,
    "pairs_of_several": "pairs with several voters",
    "alpha": "Krippendorff's alpha of their votes: first, second or neither",
    "raw_agreement": "share of two votes on one pair that are equal",
    **COMPARISONS,
    **RATINGS,
    "scorers.<name>.n": "pairs with votes and a verdict of `offline_composite` or of the judge",
    "scorers.<name>.agreement": "share of these with the same outcome",
    "scorers.<name>.alpha": "Krippendorff's alpha of votes and scorer",
    "scorers.<name>.joined.win_rate": "fine-tuned against base over all test rows, from votes and scorer (prediction-"
    "powered inference); null for fewer than two votes",
    "scorers.<name>.joined.ci95_low": "lower end of its 95 % interval",
    "scorers.<name>.joined.ci95_high": "upper end",
    "scorers.<name>.joined.weight": "how much the scorer counts, 0 to 1",
    "scorers.<name>.joined.voted": "rows with votes",
    "scorers.<name>.joined.unvoted": "rows with the scorer's verdict alone",
    "scorers.<name>.joined.votes_low": "lower end of the same interval from the votes alone",
    "scorers.<name>.joined.votes_high": "upper end",
}
_SPREAD = {
    "mean": "mean over rows and seeds",
    "sd": "standard deviation of the seeds' means",
    "lowest": "the lowest of them",
    "highest": "the highest",
}
_TWO_LEVELS = {
    "ci95_low": "lower end of the 95 % interval for other rows and other seeds",
    "ci95_high": "upper end",
    "stderr": "standard error of the mean, from rows and seeds",
    "stderr_rows": "the part from the rows, and from what differs between seeds on single rows",
    "stderr_seeds": "the part from what differs between seeds on all rows; the squares of both parts add up",
}
_AVERAGED = ("score", "exact_match", "chrf", "rouge_l", "token_f1")
REPEATS = {
    "method": "what scored the answers, as in `data/judgements/metrics.json`",
    "seeds": "number of runs",
    "rows": "test rows",
    "unscored_rows": "rows to which a judge gave no score with some seed; they are in no mean score",
    **{
        f"{name}.{key}": f"{meaning}, of `{name}`"
        for name in _AVERAGED
        for key, meaning in (_SPREAD | _TWO_LEVELS).items()
    },
    **{f"validation_loss.{key}": f"{meaning}, of the best validation loss" for key, meaning in _SPREAD.items()},
    "agreement.same_answer": "share of the pairs of seeds that give a row the same answer",
    "agreement.same_exactness": "share of the pairs of seeds of which both are exact on a row, or neither",
    "agreement.exactness_alpha": "Krippendorff's alpha of that: 1 for full agreement, 0 for what chance gives",
    "agreement.always_exact": "share of the rows that every seed answers exactly",
    "agreement.sometimes_exact": "share of the rows that some seeds do",
    "agreement.never_exact": "share of the rows that none does",
    "by_seed.<seed>.score": "mean score of one run",
    "by_seed.<seed>.exact_match": "share of exact answers of one run",
    "by_seed.<seed>.validation_loss": "best validation loss of one run",
}
PUBLISHED_REPEATS = {
    key: meaning
    for key, meaning in REPEATS.items()
    if key.partition(".")[0] in ("method", "seeds", "rows", "score", "exact_match", "validation_loss", "agreement")
}
SWEEP_RESULT = {
    "sweep": "its name",
    "trials.begun": "trials of the search",
    "trials.<status>": "trials by what became of them in the end, as in `trials.parquet`",
    "rungs": "shares of a trial's steps at which it was measured; the last one is 1",
    "seeds": "seeds of the search",
    "fresh_seeds": "seeds of the finals",
    "tokens": "tokens that all runs have read together",
    "validation_rows": "rows of the validation set; 0 where nothing was compared",
    "present.loss": "mean validation loss of the present params over the fresh seeds; null where a run failed",
    "finalists": "a list, the lowest loss on fresh seeds first: `trial`, `values`, `search_loss` (at the end of the "
    "search), `loss` (with fresh seeds), its `difference` from the present params, `low` and `high` of that (95 % for "
    "all finalists at once), `stderr_rows`, `stderr_seeds` and `verdict`: `better`, `worse`, `within noise` or "
    "`unchanged`; null where a run failed",
    "winner": "the first of them; null where none was compared",
    "verdict": "its verdict",
}
SWEEP_IMPORTANCE = {
    "measured_at": "the rung whose losses these are",
    "trials": "trials that have a loss there",
    "params.<param>.share": "share of the variance of the losses' ranks that the param's groups explain, less what "
    "chance would; null for too few trials",
    "params.<param>.p_value": "of that, from permutations, adjusted for the number of params",
    "params.<param>.groups": "a list: `label`, `n` trials, geometric mean `loss`, `ci95_low`, `ci95_high`",
}
