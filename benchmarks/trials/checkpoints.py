"""Cases of bad base models: config.json, the header and the tensors of model.safetensors."""

import json
import math
import struct
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from .cases import Plan, Step, subject
from .mutations import spoil, spoil_json, with_strange_value
from .project import INPUTS, STAGES, Project

FOLDER = "own"
CONTROLS = 0.1
"""Share of the cases that spoil nothing."""
NEEDS = ("data/embedded", *INPUTS["generate@base"])
HEADERS = (b"{" * 1000, b"[" * 100_000, b'{"a": ' * 50_000, b"null", b"", b"\xff\xfe", b'{"a":"\\ud83d"}')


@subject("d", "base-config", *NEEDS, share=2)
def base_config(draw: Random, folder: Path, project: Project) -> Plan:
    """A spoiled config.json beside good weights."""
    own_base(folder, project)
    if draw.random() < CONTROLS:
        return control()
    what = spoil_json(folder / FOLDER / "config.json", draw)
    return Plan(what, steps())


@subject("d", "base-weights", *NEEDS, share=2)
def base_weights(draw: Random, folder: Path, project: Project) -> Plan:
    """A spoiled file of weights: its header, its bytes, or numbers that are none."""
    own_base(folder, project)
    path = folder / FOLDER / "model.safetensors"
    header, tensors = split(path.read_bytes())
    if draw.random() < CONTROLS:
        return control()
    kind = draw.choice(["header", "header", "header", "bytes", "length", "not a number", "text", "twice", "other file"])
    bad = False
    if kind == "bytes":
        what = spoil(path, draw, text=False)
    elif kind == "header":
        changed, what = with_strange_value(header, draw)
        path.write_bytes(joined(json.dumps(changed).encode(), tensors))
    elif kind == "length":
        length = draw.choice([0, 1, 2**63, 2**64 - 1, 100_000_001, len(json.dumps(header)) - 1])
        path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
        what = f"a header said to have {length} bytes"
    elif kind == "not a number":
        value = draw.choice([math.nan, math.inf, -math.inf])
        name = draw.choice(sorted(one for one in header if one != "__metadata__"))
        first, _ = header[name]["data_offsets"]
        numbers = np.array([value], dtype=np.float32).astype(numpy_type(header[name]["dtype"]))
        tensors = tensors[:first] + numbers.tobytes() + tensors[first + numbers.nbytes :]
        path.write_bytes(joined(json.dumps(header).encode(), tensors))
        what, bad = f"{value} in {name}", True
    elif kind == "twice":
        name = draw.choice(sorted(one for one in header if one != "__metadata__"))
        text = json.dumps(header)[:-1] + f", {json.dumps(name)}: {json.dumps(header[name])}}}"
        path.write_bytes(joined(text.encode(), tensors))
        what = f"{name} twice in the header"
    elif kind == "other file":
        (path.parent / draw.choice(["pytorch_model.bin", "model.bin", "weights.pt"])).write_bytes(b"cos\nsystem\n.")
        path.unlink()
        what, bad = "a pickle and no safetensors", True
    else:
        other = draw.choice(HEADERS)
        path.write_bytes(joined(other, tensors))
        what, bad = f"the header {other[:20]!r}", True
    return Plan(f"{path.name}: {what}", steps(), bad=bad)


@subject("d", "base-shards", *NEEDS)
def base_shards(draw: Random, folder: Path, project: Project) -> Plan:
    """Weights in two files, with a spoiled index or a tensor in both or in neither."""
    own_base(folder, project)
    path = folder / FOLDER / "model.safetensors"
    header, tensors = split(path.read_bytes())
    header.pop("__metadata__", None)
    names = sorted(header)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    kind = draw.choice(["index", "index", "both", "neither", "gone", "good"])
    if kind == "both":
        halves[1].append(halves[0][0])
    elif kind == "neither":
        halves[1].pop()
    files = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    for file, own in zip(files, halves, strict=True):
        (path.parent / file).write_bytes(file_of({name: header[name] for name in own}, tensors))
    index = {"weight_map": {name: file for file, own in zip(files, halves, strict=True) for name in own}}
    index_path = path.parent / "model.safetensors.index.json"
    index_path.write_text(json.dumps(index), encoding="utf-8")
    path.unlink()
    what = spoil_json(index_path, draw) if kind == "index" else f"shards: {kind}"
    if kind == "gone":
        (path.parent / draw.choice(files)).unlink()
    return Plan(what, steps(), bad=kind in ("both", "neither", "gone"), last_must_be_fine=kind == "good")


def own_base(folder: Path, project: Project) -> None:
    (folder / "data/embedded/base").rename(folder / FOLDER)
    project.set_source(folder, "base", FOLDER)


def control() -> Plan:
    """Return a plan that has to end well: without that, other cases could all end in the same sentence unnoticed."""
    return Plan("nothing is spoiled", steps(), last_must_be_fine=True)


def steps() -> list[Step]:
    return [Step(["reprotune", "check"]), Step(STAGES["fetch@base"]), Step(STAGES["generate@base"])]


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the header and the tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def joined(header: bytes, tensors: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + tensors


def file_of(header: dict[str, Any], tensors: bytes) -> bytes:
    """Return a safetensors file with some of the tensors."""
    own, content = {}, b""
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        own[name] = entry | {"data_offsets": [len(content), len(content) + end - first]}
        content += tensors[first:end]
    return joined(json.dumps(own).encode(), content)


def numpy_type(name: str) -> Any:
    return {"F32": np.float32, "F16": np.float16, "F64": np.float64}[name]


@subject("d", "trained-model", *INPUTS["generate@finetuned"])
def trained_model(draw: Random, folder: Path, project: Project) -> Plan:
    """The fine-tuned model is spoiled before it answers."""
    path = folder / "data/model" / draw.choice(["config.json", "model.safetensors", "model.safetensors"])
    what = spoil_json(path, draw) if path.suffix == ".json" else spoil(path, draw, text=False)
    return Plan(what, [Step(STAGES["generate@finetuned"])])
