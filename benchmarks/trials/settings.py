"""Cases of bad settings: params.yaml, templates, dvc.yaml, dvc.lock, gate.yaml, metrics, files for the commands."""

import json
import os
from pathlib import Path
from random import Random

from reprotune.statistics.calibration import FEATURES

from .cases import Plan, Step, subject
from .mutations import spoil, spoil_json, spoil_yaml
from .project import INPUTS, OUTS, SECTIONS, STAGES, Project

SLOW_BY_WISH = ("finetune.epochs", "finetune.micro_batch_tokens", "judge.canaries")
"""Large or small values of these mean work, which is no fault."""


@subject("d", "params", "data", share=6)
def params(draw: Random, folder: Path, project: Project) -> Plan:
    """A value of a section, or the form of the file; checked by the command and run by the section's stages."""
    section = draw.choice(sorted(SECTIONS))
    what = spoil_yaml(folder / "params.yaml", draw, only=section)
    steps = [Step(["reprotune", "check"]), Step(["reprotune", "params"])]
    if not any(key in what for key in SLOW_BY_WISH):
        steps += [Step(STAGES[stage]) for stage in SECTIONS[section]]
    return Plan(what, steps, goes_on=True)


PIECES = (
    "{% for i in range(1000000000) %}x{% endfor %}",
    "{% for a in instruction %}{% for b in instruction %}{% for c in instruction %}{% for d in instruction %}x"
    "{% endfor %}{% endfor %}{% endfor %}{% endfor %}",
    "{{ 'x' * 1000000000 }}",
    "{{ instruction * 100000000 }}",
    "{{ 10 ** 10 ** 8 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ self.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'base' %}",
    "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(x) %}{{ f(x) }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    "{{ '\\ud83d' }}",
    "\x00",
    "{{ no_such }}",
    "{{ instruction | no_such }}",
    "{{ instruction | random }}",
    "{{ instruction | center(1000000000) }}",
    "{{ instruction | indent(100000000) }}",
    "{{ lipsum(100000) }}",
    "{{ 1 / 0 }}",
    "{{ instruction.encode() }}",
    "{{ instruction | list }}",
    "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{% if 1 %}" * 200 + "{% endif %}" * 200,
    "{% if 1 %}" * 2000 + "{% endif %}" * 2000,
    "{{ '" + "x" * 500_000 + "' }}",
    "{% raw %}",
    "{{",
    "{#",
    "{# header #}",
    "{{ response }}",
    "{% set x = [] %}{% for i in 'ab' %}{{ x.append(x) }}{% endfor %}{{ x }}",
    "{{ 9" + "9" * 5000 + " }}",
    "{{ instruction[10**20] }}",
    "{{ input.x.y }}",
    "{{ category }}\u202e\x1b[31m",
    "{% break %}",
    "{% call f() %}{% endcall %}",
    "<|endoftext|>",
    "{{ namespace() }}",
    "{{ instruction | batch(2) | list | tojson }}",
    "{{ instruction | urlize }}{{ instruction | xmlattr }}",
    "{% for k in cycler %}{% endfor %}",
    "{% filter upper %}{{ response }}{% endfilter %}",
)
TEMPLATE = "Do: {{ instruction }}\n{% if input %}With: {{ input }}\n{% endif %}{# header #}\nDone: {{ response }}"


@subject("d", "template", *INPUTS["format"], share=3)
def template(draw: Random, folder: Path, project: Project) -> Plan:
    """A template with something odd in it, or a spoiled one."""
    path = folder / draw.choice(["own.jinja", "own.jinja", "t #1.jinja", "a: b.jinja", "[x].jinja", "ü.jinja"])
    text, doings = TEMPLATE, []
    for _ in range(draw.choice([1, 1, 2])):
        piece, mark = draw.choice(PIECES), draw.choice(["Do: ", "With: ", "{# header #}", "Done: "])
        text = text.replace(mark, piece + mark if draw.random() < 0.5 else mark + piece, 1)
        doings.append(f"{piece[:60]!r} at {mark!r}")
    path.write_text(text, encoding="utf-8")
    if draw.random() < 0.2:
        doings.append(spoil(path, draw))
    project.set_params(folder, {"format.template": path.name})
    return Plan(f"{path.name}: {'; '.join(doings)}", [Step(STAGES["format"])])


@subject("d", "special-file", *INPUTS["format"], "data/embedded")
def special_file(draw: Random, folder: Path, project: Project) -> Plan:
    """A folder, a device or a pipe where a file should be."""
    what = draw.choice(["template", "dataset", "base", "benchmark"])
    stage = "format" if what == "template" else f"fetch@{what}"
    kind = draw.choice(["fifo", "/dev/zero", "/dev/null", "/dev/stdin", "/proc/self/mem", "folder", "loop", "dangling"])
    path = Path(kind) if kind.startswith("/") else folder / "odd.jinja"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "dangling":
        path.symlink_to("nothing")
    if what == "template":
        project.set_params(folder, {"format.template": str(path)})
    else:
        project.set_source(folder, what, str(path))
    return Plan(f"the {what} is a {kind}", [Step(["reprotune", "check"]), Step(STAGES[stage])], bad=True, goes_on=True)


OVERVIEWS = (["plan"], ["plan", "--json"], ["check"], ["summary"], ["votes"], ["deps", "--check"])
COMPARISONS = (["gate", "--against", "HEAD"], ["compare", "HEAD"], ["compare", "HEAD~1", "HEAD"])


@subject("d", "dvc-file", whole=True, share=2)
def dvc_file(draw: Random, folder: Path, project: Project) -> Plan:
    """dvc.yaml, dvc.lock or gate.yaml is spoiled; every command that reads them."""
    name = draw.choice(["dvc.yaml", "dvc.lock", "dvc.lock", "gate.yaml", "gate.yaml"])
    what = spoil_yaml(folder / name, draw)
    words = COMPARISONS[:1] if name == "gate.yaml" else (*OVERVIEWS, ["deps", "--fix"], *COMPARISONS[:2])
    return Plan(what, [Step(["reprotune", *line]) for line in words], goes_on=True)


@subject("d", "metrics", whole=True, share=2)
def metrics(draw: Random, folder: Path, project: Project) -> Plan:
    """A published number, a timing or a result is spoiled; the commands that show them."""
    names = [f"metrics/{path.name}" for path in sorted((folder / "metrics").glob("*.json"))]
    names += [".reprotune/timings/split.json", ".reprotune/timings/finetune.json", "data/judgements/metrics.json"]
    names += ["data/model/metrics.json", "data/speed/finetune.json", "data/raw/summary.json"]
    names += ["data/preference/metrics.json", "data/export/gguf/parity.json", "data/formatted/messages.json"]
    path = folder / draw.choice(names)
    if not path.exists():  # DVC restored the stage instead of running it
        path.write_text('{"seconds": 1.0, "stage": "split"}', encoding="utf-8")
    what = spoil_json(path, draw)
    words = (["summary"], ["plan"], *COMPARISONS[:2])
    return Plan(what, [Step(["reprotune", *line]) for line in words], goes_on=True)


@subject("d", "deps-fix", whole=True)
def deps_fix(draw: Random, folder: Path, project: Project) -> Plan:
    """Files with odd names become deps; dvc.yaml has to stay readable."""
    odd = ["t #1", "a: b", "[x]", "${x}", "'q'", '"q"', "- x", "{a}", "*a", "&a", "!a", "%a", "@a", "`a`", "a\tb"]
    odd += ["é", "\u202e", "null", "1.5", "~", "a\nb", "x" * 240, " lead", "trail ", "\x1b[31m", "-", "$HOME", "a\\b"]
    name = draw.choice(odd) + ".jinja"
    (folder / name).write_text(TEMPLATE, encoding="utf-8")
    project.set_params(folder, {"format.template": name})
    return Plan(
        repr(name), [Step(["reprotune", *words]) for words in (["deps", "--fix"], ["plan"], ["deps", "--check"])]
    )


@subject("d", "calibration", "data/split", "data/responses", "data/judgements", share=2)
def calibration(draw: Random, folder: Path, project: Project) -> Plan:
    """The files of `reprotune calibrate` and `reprotune pairwise`."""
    entries = [
        {"instruction": f"Task {n}", "input": "", "output": f"Answer {n}", "answer": f"Answer {n % 7}", "label": n * 2}
        for n in range(40)
    ]
    (folder / "answers.json").write_text(json.dumps(entries), encoding="utf-8")
    (folder / "labels.json").write_text(json.dumps([n * 2 for n in range(40)]), encoding="utf-8")
    (folder / "scores.json").write_text(json.dumps([(n * 13) % 100 for n in range(40)]), encoding="utf-8")
    fit = draw.choice(["isotonic", "ridge"])
    calibrate = ["reprotune", "calibrate", "answers.json", "--labels", "labels.json", "--scores", "scores.json"]
    kind = draw.choice(["answers.json", "labels.json", "scores.json", "calibration.json", "pairwise"])
    if kind == "pairwise":
        name = draw.choice(
            ["data/responses/base.parquet", "data/responses/finetuned.parquet", "data/split/test.parquet"]
        )
        what = spoil(folder / name, draw, text=False)
        return Plan(what, [Step(["reprotune", "pairwise", *INPUTS["judge"][:2]])])
    if kind == "calibration.json":
        (folder / kind).write_text(json.dumps(a_mapping(fit)), encoding="utf-8")
        what = spoil_json(folder / kind, draw)
        return Plan(what, [Step([*calibrate, "--mapping", kind])])
    what = spoil_json(folder / kind, draw)
    return Plan(what, [Step(calibrate), Step([*calibrate, "--fit", fit])], goes_on=True)


def a_mapping(kind: str) -> dict[str, object]:
    """Return a mapping as `reprotune calibrate --fit` writes it."""
    if kind == "isotonic":
        return {"kind": kind, "scores": [0.0, 40.0, 100.0], "labels": [5.0, 50.0, 90.0]}
    numbers = [0.5] * len(FEATURES)
    return {"kind": kind, "features": FEATURES, "coefficients": numbers, "intercept": 3.0, "penalty": 1.0}


@subject("d", "nothing", whole=True)
def nothing(draw: Random, folder: Path, project: Project) -> Plan:
    """Nothing is spoiled, so everything ends well: without that, no other verdict would mean anything."""
    every = [Step(["reprotune", *line]) for line in (*OVERVIEWS, ["params"], *COMPARISONS)]
    every += [Step(words) for words in STAGES.values()]
    same = tuple(path for paths in OUTS.values() for path in paths)
    return Plan("nothing is spoiled", every, same=same, last_must_be_fine=True)
