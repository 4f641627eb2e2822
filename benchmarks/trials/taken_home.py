"""Cases of what leaves the pipeline or comes back: export's inputs, its GGUF files as base models, answers in files."""

import json
from pathlib import Path
from random import Random

from .cases import Plan, Step, subject
from .checkpoints import steps
from .mutations import STRANGE, shown, spoil, spoil_json
from .project import INPUTS, OUTS, STAGES, Project

TEXTS = ("tokenizer_config.json", "tokenizer.json", "vocab.json", "config.json", "special_tokens_map.json")
EXPORTED = "data/export/gguf"


@subject("d", "export-input", *INPUTS["export"], share=2)
def export_input(draw: Random, folder: Path, project: Project) -> Plan:
    """The chat template, the messages, the tokenizer or the weights that export reads are spoiled."""
    base = [path for path in sorted((folder / "data/base").iterdir()) if path.is_file()]
    own = [folder / "data/model/config.json", folder / "data/model/model.safetensors"]
    formatted = [folder / "data/formatted/chat_template.jinja", folder / "data/formatted/messages.json"]
    path = draw.choice([*base, *own, *formatted, *formatted])
    if not path.is_file():
        return Plan(f"there is no {path.name}", [Step(STAGES["export"])], same=OUTS["export"])
    what = (
        spoil_json(path, draw) if path.suffix == ".json" else spoil(path, draw, text=path.suffix in (".jinja", ".txt"))
    )
    return Plan(what, [Step(STAGES["export"])])


@subject("d", "tokenizer", "data/embedded", *INPUTS["generate@base"], *INPUTS["format"], share=2)
def tokenizer(draw: Random, folder: Path, project: Project) -> Plan:
    """A base model with a tokenizer of its own, which is spoiled or odd."""
    (folder / "data/embedded/base").rename(folder / "own")
    project.set_source(folder, "base", "own")
    for name in TEXTS:
        if (project.root / "data/base" / name).is_file() and not (folder / "own" / name).exists():
            project.part(folder, (f"data/base/{name}",))
            (folder / "own" / name).write_bytes((project.root / "data/base" / name).read_bytes())
    path = folder / "own" / draw.choice(TEXTS[:3])
    if not path.is_file():
        text = {"chat_template": "{{ messages[0].content }}", "add_bos_token": False, "model_max_length": 512}
        path.write_text(json.dumps(text), encoding="utf-8")
    what = spoil_json(path, draw)
    return Plan(what, [*steps(), Step(STAGES["format"])])


@subject("d", "base-gguf", EXPORTED, "data/embedded", *INPUTS["generate@base"], share=3)
def base_gguf(draw: Random, folder: Path, project: Project) -> Plan:
    """An exported file becomes the base model, spoiled: its header, its metadata or its tensors."""
    path = next(iter(sorted((folder / EXPORTED).glob("*.gguf"))))
    content = path.read_bytes()
    kind = draw.choice(["bytes", "bytes", "header", "count", "metadata", "good"])
    target = folder / "own.gguf"
    target.write_bytes(content)
    if kind == "bytes":
        what = spoil(target, draw, text=False)
    elif kind == "header":
        place = draw.randrange(4000)
        target.write_bytes(content[:place] + draw.choice([b"\xff", b"\0", b"\x7f"]) * 8 + content[place + 8 :])
        what = f"eight bytes at {place}"
    elif kind == "count":
        place = draw.choice([4, 8, 16])
        count = draw.choice([0, 1, 2**31, 2**63, 2**64 - 1]).to_bytes(8, "little")
        target.write_bytes(content[:place] + count + content[place + 8 :])
        what = f"the number at {place} is {int.from_bytes(count, 'little')}"
    elif kind == "metadata":
        key = draw.choice(
            [b"block_count", b"embedding_length", b"tokenizer.ggml.tokens", b"head_count", b"chat_template"]
        )
        place = content.find(key) + len(key) + 4
        target.write_bytes(content[:place] + draw.randbytes(draw.choice([1, 4, 8])) + content[place + 8 :])
        what = f"the value of {key.decode()}"
    else:
        what = "nothing is spoiled"
    project.set_source(folder, "base", target.name)
    return Plan(what, steps(), last_must_be_fine=kind == "good")


@subject("d", "questions", *INPUTS["generate@finetuned"], *INPUTS["format"], "data/formatted", share=2)
def questions(draw: Random, folder: Path, project: Project) -> Plan:
    """Questions to `reprotune ask`, one by one or in a file."""
    rows = [{"instruction": f"Add {n} and 1.", "input": ""} for n in range(5)]
    if draw.random() < 0.4:
        odd = [value for value in STRANGE if isinstance(value, str) and "\0" not in value and value.isprintable()]
        text = draw.choice([*odd, "", "\x1b[31m", "x " * 5000, "<|endoftext|>", "### Response:"])
        return Plan(shown(text), [Step(["reprotune", "ask", "--", text])])
    path = folder / "questions.jsonl"
    lines = [json.dumps(row) for row in rows]
    place = draw.randrange(len(lines))
    odd_row = draw.choice([*STRANGE, {"instruction": draw.choice(STRANGE), "input": draw.choice(STRANGE)}])
    lines[place] = json.dumps(odd_row)
    path.write_text("\n".join(lines), encoding="utf-8")
    what = f"question {place} is {shown(odd_row)}"
    if draw.random() < 0.3:
        what += f"; {spoil(path, draw)}"
    out = draw.choice(["out.parquet", "out.parquet", "data", "no/such/out.parquet", "/dev/full"])
    return Plan(f"{what}; to {out}", [Step(["reprotune", "ask", "--file", path.name, "--out", out])])


@subject("d", "answers", whole=True)
def answers(draw: Random, folder: Path, project: Project) -> Plan:
    """Answers or what lies beside them are spoiled; the commands that hand them on."""
    names = ["data/responses/finetuned.parquet", "data/split/test.parquet", "data/model/config.json", "dvc.lock"]
    path = folder / draw.choice(names)
    what = spoil_json(path, draw) if path.suffix == ".json" else spoil(path, draw, text=False)
    lines = (
        ["export-alpaca-eval", "--output", draw.choice(["alpaca-eval", "data/split/test.parquet", "/dev/null/x"])],
        ["opponent", draw.choice(["HEAD", "HEAD", "no-such", "-x", "HEAD~500"])],
        ["pairwise", "data/responses/base.parquet", "data/responses/finetuned.parquet"],
        ["ask", "What is 1 and 1?"],
    )
    return Plan(what, [Step(["reprotune", *line]) for line in lines], goes_on=True)
