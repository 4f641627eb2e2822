"""The model card: what the model is made of, what it scored, how to prompt it, and where its numbers come from.

It holds no time and no commit: it is made before its results are committed, and the same inputs give the same text.
A hash in it leads to the commit that holds them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reprotune.artifacts import MODELS
from reprotune.dataset.templates.messages import MessageForm
from reprotune.multiple_choice.figures.accuracy import Figures, task_figures
from reprotune.multiple_choice.figures.forgetting import retention_figures
from reprotune.multiple_choice.figures.measured import Measured
from reprotune.multiple_choice.subjects import GROUPS
from reprotune.pages.markdown import code_span
from reprotune.params.document import Document
from reprotune.params.values import flattened, spelled
from reprotune.results.benchmark_words import (
    RETENTION_WORDS,
    TRIVIAL_WORDS,
    below_constant,
    bits,
    matched_words,
    percent,
)
from reprotune.results.votes import comparison_title
from reprotune.results.words import VERDICTS, counted, error_words, pair_facts, points, scorer_words, signed

EMBEDDED = "embedded"
NAMES = {"base": "base model", "finetuned": "this model"}
"""Model -> what the tables call it."""


@dataclass(frozen=True)
class Sources:
    """What a card is made of; JSON objects are as the stages wrote them."""

    params: Document
    form: MessageForm
    judged: Mapping[str, Any]
    measured: Measured
    preference: Mapping[str, Any]
    training: Mapping[str, Any]
    raw: Mapping[str, Any]
    split: Mapping[str, Any]
    parity: Mapping[str, Any]
    weights_sha256: str
    results_md5: str
    """The hash by which dvc.lock knows data/judgements/metrics.json."""


def model_card(sources: Sources) -> str:
    """Return the card as Markdown, with the metadata that model hubs read."""
    params = sources.params
    parts = [
        _metadata(params),
        "# A model fine-tuned on instructions",
        f"{code_span(params.fetch.base.source)}, fine-tuned with Reprotune on "
        f"{counted(sources.split['rows']['train'], 'instruction')} of {code_span(_dataset(params))}.",
        "## How to prompt it",
        _prompting(sources),
        "## What it scored",
        _scores(sources.judged),
        *_preferred(sources.preference),
        *_exam(sources.measured),
        *_retention(sources.measured),
        "## What it is made of",
        _table(_origin(sources)),
        "## In other programs",
        _parity(sources.parity),
        "## Limits",
        _limits(params),
        "## Licence",
        _licence(params),
        "## Every setting",
        _table((f"`{key}`", code_span(spelled(value))) for key, value in flattened(params.model_dump()).items()),
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(params: Document) -> str:
    lines = ["library_name: transformers", "pipeline_tag: text-generation", "tags: [reprotune, instruction-tuned]"]
    if _is_embedded(params):
        lines.insert(0, "license: apache-2.0")
    elif params.fetch.base.repository:
        lines.insert(0, f"base_model: {json.dumps(params.fetch.base.repository)}")
    return "\n".join(["---", *lines, "---"])


def _prompting(sources: Sources) -> str:
    form = sources.form
    if form.refused is not None:
        return f"There is no chat template: {form.refused}."
    lines = [
        "Send messages: `chat_template.jinja` makes the prompt of them that the model was trained on. "
        "`transformers`, vLLM and lm-eval take it from the model's folder, llama.cpp from the GGUF file, Ollama "
        "from the Modelfile."
    ]
    if form.input_before is not None:
        example = {"instruction": "INSTRUCTION", "input": "INPUT"}
        lines.append(
            "An instruction is one message of the user. Its input, where it has one, follows in the same message:"
        )
        lines.append(f"    {json.dumps(form.content(example), ensure_ascii=False)}")
    lines.append("Decode greedily up to the end of the text.")
    return "\n\n".join(lines)


def _scores(judged: Mapping[str, Any]) -> str:
    lines = [
        (
            name,
            points(judged[model]["score"]),
            f"{points(judged[model]['ci95_low'])} to {points(judged[model]['ci95_high'])}",
            str(judged[model]["n"]),
            str(judged[model]["unscored"]),
        )
        for model, name in NAMES.items()
    ]
    difference = judged["difference"]
    lines.append(
        (
            "difference, row by row",
            signed(difference["score"]),
            f"{signed(difference['ci95_low'])} to {signed(difference['ci95_high'])}",
            str(difference["n"]),
            "",
        )
    )
    verdict = f"On these rows it {VERDICTS[difference['verdict']][1]} the base model"
    p_value = difference["p_value"]
    errors = error_words(difference)
    return "\n\n".join(
        [
            _table(lines, ("", "score, 0 to 100", "95 % interval", "rows", "unscored")),
            f"{verdict}{'' if p_value is None else f' (p = {p_value:.2g})'}{f'; {errors}' if errors else ''}.",
            scorer_words(dict(judged)),
            _table((*_health(judged["health"]), *pair_facts(judged["pairwise"]))),
        ]
    )


def _health(health: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    if health["canaries"] is not None:
        yield "known good and bad answers that were scored as they should be", f"{health['canaries']:.0%}"
    if health["repeat_sd"] is not None:
        yield "spread of repeated scores", f"{health['repeat_sd']:.2f}"
    for model, name in (("base", "base"), ("finetuned", "fine-tuned")):
        if (correlation := health[f"length_correlation_{model}"]) is not None:
            yield f"correlation of score and length, {name}", f"{correlation:.2f}"


def _preferred(found: Mapping[str, Any]) -> Iterable[str]:
    """Yield the part on votes; none where nobody has voted on two models. The names may be a voter's own."""
    lines = [
        (
            code_span(comparison_title(one)),
            f"{one['wins']:,}",
            f"{one['losses']:,}",
            f"{one['ties']:,}",
            "–" if one["share"] is None else f"{one['share']:.1%}",
            "–" if one["share"] is None else f"{one['ci95_low']:.1%} to {one['ci95_high']:.1%}",
            "not decided" if one["verdict"] == "open" else one["verdict"],
        )
        for one in found.get("comparisons", {}).values()
    ]
    if lines:
        yield "## What people preferred"
        yield _table(lines, ("", "won", "lost", "ties", "preferred, of pairs with a winner", "95 % interval", ""))


def _exam(measured: Measured) -> Iterable[str]:
    """Yield the part on multiple choice; none where there is no benchmark."""
    for formulation, figures in task_figures(measured, GROUPS).items():
        yield f"## What it knows: {code_span(measured.task)}, {formulation}"
        yield _table(_accuracies(figures), ("", "right answers, in percent", "95 % interval", "items"))
        difference, below = f"Against the base model {matched_words(figures['difference'])}.", below_constant(figures)
        yield f"{difference} {below[:1].upper()}{below[1:]}." if below else difference


def _accuracies(figures: Figures) -> Iterable[tuple[str, ...]]:
    items = f"{figures['items']:,}"
    for model, name in NAMES.items():
        yield name, percent(figures[model]["accuracy"]), _interval(figures[model], percent), items
    change = figures["difference"]
    yield "difference, item by item", percent(change["accuracy"], "+"), _interval(change, percent, "+"), items
    for key, name in TRIVIAL_WORDS.items():
        yield f"{name} (reads no question)", percent(figures["trivial"][key]), "", items


def _retention(measured: Measured) -> Iterable[str]:
    """Yield the part on plain text; none where no text was measured."""
    figures = retention_figures(measured)
    if not figures:
        return
    change = figures["difference"]
    names = {**NAMES, "difference": "difference, document by document"}
    signs = {**dict.fromkeys(MODELS, ""), "difference": "+"}
    lines = [
        (
            name,
            bits(figures[key]["bits_per_byte"], signs[key]),
            _interval(figures[key], bits, signs[key]),
            f"{figures[key]['n']:,}",
        )
        for key, name in names.items()
    ]
    yield "## What it remembers of plain text"
    yield _table(lines, ("", "bits per byte, lower is better", "95 % interval", "documents"))
    p_value = "" if change["p_value"] is None else f" (p = {change['p_value']:.2g})"
    words = RETENTION_WORDS[change["verdict"]]
    yield f"{words[0].upper()}{words[1:]}{p_value}."


def _interval(found: Mapping[str, Any], spell: Callable[[float | None, str], str], sign: str = "") -> str:
    if found["ci95_low"] is None:
        return "–"
    return f"{spell(found['ci95_low'], sign)} to {spell(found['ci95_high'], sign)}"


def _origin(sources: Sources) -> Iterable[tuple[str, str]]:
    params, rows, training = sources.params, sources.split["rows"], sources.training
    base = params.fetch.base
    yield "base model", code_span(base.source)
    if base.repository:
        yield "its commit", code_span(base.revision or "the one that Reprotune pins")
    yield "data", code_span(_dataset(params))
    yield "its SHA-256, as fetched", code_span(sources.raw["sha256"])
    yield "rows of the source", f"{sources.raw['rows']:,}, of which {sources.raw['rejected']:,} are unusable"
    yield "for training, validation, test", ", ".join(f"{rows[part]:,}" for part in ("train", "validation", "test"))
    yield (
        "training",
        f"{counted(training['steps'], 'step')}, {counted(training['trained_tokens_seen'], 'learned token')}, "
        f"{params.finetune.method}, {training['precision']}",
    )
    yield (
        "validation loss, before and after",
        f"{training['initial']['validation_loss']:.3f} and {training['best']['validation_loss']:.3f} nats a token",
    )
    yield "model.safetensors", f"SHA-256 {code_span(sources.weights_sha256)}"
    yield "results", f"data/judgements/metrics.json with MD5 {code_span(sources.results_md5)}"
    yield "commit", f"`git log -S{sources.results_md5} -- dvc.lock` finds the one that holds them"


def _parity(parity: Mapping[str, Any]) -> str:
    if not parity["files"]:
        return "No GGUF file was written. " + _sentences(parity["omitted"])
    lines = []
    for name, file in parity["files"].items():
        shares = [file.get(f"same_{what}") for what in ("prompts", "ids", "answers")]
        lines.append(
            (
                f"model-{name}.gguf",
                f"{file['bytes'] / 1e6:,.1f} MB",
                *("–" if share is None else f"{share:.0%}" for share in shares),
                code_span(file["sha256"]),
            )
        )
    table = _table(lines, ("file", "size", "same prompts", "same ids", "same greedy answers", "SHA-256"))
    with_what = (
        f"{counted(parity['rows'], 'test row')} through {parity['checked_with']} and through Reprotune's own decoder."
        if parity["checked_with"]
        else f"Not compared: {parity['why_not']}."
    )
    return "\n\n".join(filter(None, [table, with_what, _sentences(parity["omitted"])]))


def _limits(params: Document) -> str:
    lines = [
        "It was trained on the data above and on nothing that would make it safe: check its answers before they are "
        "relied on.",
        "Scores hold for rows like the test rows, and for the prompt above.",
        f"Answers were measured up to {counted(params.generate.max_new_tokens, 'token')}.",
        "Other programs take the text of a message for a special token where it spells one; in training it was text.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _licence(params: Document) -> str:
    if _is_embedded(params):
        return "Apache-2.0: base model and data are part of Reprotune."
    return "The licences of the base model and of the data hold; neither is known to Reprotune."


def _dataset(params: Document) -> str:
    dataset = params.fetch.dataset
    return dataset.source or ", ".join(source.source for source in dataset.keyed_sources.values())


def _is_embedded(params: Document) -> bool:
    return _dataset(params) == EMBEDDED == params.fetch.base.source


def _sentences(omitted: Mapping[str, str]) -> str:
    return "\n".join(f"- {name} was left out: {code_span(why)}" for name, why in omitted.items())


def _table(rows: Iterable[tuple[str, ...]], header: tuple[str, ...] = ("", "")) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
