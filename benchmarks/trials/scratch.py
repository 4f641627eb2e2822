"""Cases of damage in `.reprotune/`: whatever is found there, the results stay what they are."""

import json
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from threading import Thread

from reprotune.scratch import fingerprint

from .cases import Plan, Step, subject
from .mutations import spoil, spoil_json
from .project import INPUTS, OUTS, STAGES, Project

CHECKPOINT = ".reprotune/finetune/*/progress-{}*.json"


@subject("d", "checkpoint", *INPUTS["finetune"], share=4)
def checkpoint(draw: Random, folder: Path, project: Project) -> Plan:
    """Training is killed after some steps, or has ended without DVC; files of its checkpoints are spoiled."""
    killed = draw.random() < 0.7
    stop = {"stop_at": CHECKPOINT.format(draw.choice([2, 4, 5, 7, 10, 12]))} if killed else {}
    first = Step(STAGES["finetune"], stop, prepares=True)
    again = Step(STAGES["finetune"], before=lambda: spoiled_checkpoints(folder, draw))
    return Plan("killed; " if killed else "ended; ", [first, again], same=OUTS["finetune"])


def spoiled_checkpoints(folder: Path, draw: Random) -> str:
    doings = []
    files = sorted(path for path in folder.glob(".reprotune/finetune/*/*") if path.is_file())
    for path in draw.sample(files, min(len(files), draw.choice([0, 1, 1, 2, 3]))):
        if draw.random() < 0.15:
            path.unlink()
            doings.append(f"{path.name} is gone")
        elif draw.random() < 0.1:
            path.unlink()
            path.mkdir()
            doings.append(f"{path.name} is a folder")
        elif path.suffix == ".json":
            doings.append(spoil_json(path, draw))
        else:
            doings.append(spoil(path, draw, text=False))
    return "; ".join(doings) or "nothing spoiled"


@subject("d", "download", share=2)
def download(draw: Random, folder: Path, project: Project) -> Plan:
    """A download was cut; what it left is spoiled. What is fetched in the end is what the server has."""
    content = (project.root / "data/embedded/dataset.jsonl").read_bytes()
    server = file_server(content)
    url = f"http://127.0.0.1:{server}/rows.jsonl"
    project.set_params(folder, {"fetch.dataset.source": url})
    place = folder / ".reprotune/downloads" / fingerprint(url)
    place.mkdir(parents=True)
    part, validator = place / "file.part", place / "file.part.json"
    part.write_bytes(content[: draw.choice([0, 1, 1000, len(content) - 1, len(content), len(content)])])
    validator.write_text(json.dumps(draw.choice([ETAG, ETAG, '"other"', None])), encoding="utf-8")
    doings = [f"{part.stat().st_size} bytes of {len(content)}"]
    kind = draw.choice(["validator", "validator", "part", "folder", "file", "nothing"])
    if kind == "validator":
        doings.append(spoil_json(validator, draw))
    elif kind == "part":  # other bytes under another validator: to be thrown away
        part.write_bytes(draw.randbytes(draw.choice([10, len(content) * 2])))
        validator.write_text(json.dumps('"older"'), encoding="utf-8")
        doings.append("bytes of an older file")
    elif kind == "folder":
        odd = draw.choice([part, validator, place / "file"])
        odd.unlink(missing_ok=True)
        odd.mkdir()
        doings.append(f"{odd.name} is a folder")
    elif kind == "file":
        (place / "file").write_bytes(draw.choice([b"", content[:100], b"older"]))
        doings.append("an older file")
    environment = {"environment": {"NO_PROXY": "127.0.0.1"}}
    return Plan("; ".join(doings), [Step(STAGES["fetch@dataset"], environment)], same=OUTS["fetch@dataset"])


ETAG = '"torture"'


@cache
def file_server(content: bytes) -> int:
    """Serve one file for as long as this process lives, ranges included; returns the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first = 0
            asked = self.headers.get("Range", "")
            if asked.startswith("bytes=") and self.headers.get("If-Range", ETAG) == ETAG:
                first = int(asked.removeprefix("bytes=").partition("-")[0])
            if first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", ETAG)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            self.wfile.write(content[first:])

        def log_message(self, format: str, *args: object) -> None:
            """Keep the output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


@subject("d", "scratch-other", "data", ".reprotune", share=2)
def scratch_other(draw: Random, folder: Path, project: Project) -> Plan:
    """Locks, timings, leftovers and folders of `.reprotune` are odd; a stage runs."""
    stage = draw.choice(sorted(STAGES))
    scratch = folder / ".reprotune"
    odd = draw.choice(["lock", "timing", "hashes", "crashes", "leftover", "finetune", "downloads", "gone"])
    if odd == "gone":
        (folder / ".reprotune").rename(folder / ".reprotune.away")
        what = "no .reprotune"
    elif odd == "leftover":
        target = folder / draw.choice(OUTS[stage])
        left = target.with_name(f".{target.name}.{draw.choice(['99999999', '1', 'x', '-1', '9' * 30])}.tmp")
        left.parent.mkdir(parents=True, exist_ok=True)
        left.mkdir() if draw.random() < 0.5 else left.write_bytes(b"half")
        what = f"{left.name} is left"
    else:
        path = {
            "lock": scratch / "locks" / stage,
            "timing": scratch / "timings" / f"{stage}.json",
            "hashes": scratch / "hashes.json",
            "crashes": scratch / "crashes",
            "finetune": scratch / "finetune",
            "downloads": scratch / "downloads",
        }[odd]
        what = replaced(path, draw)
    steps = [Step(STAGES[stage]), Step(["reprotune", "summary"])]
    return Plan(f"{stage}: {what}", steps, same=OUTS[stage], goes_on=True)


def replaced(path: Path, draw: Random) -> str:
    """Put something else in the place of a scratch file or folder."""
    kind = draw.choice(["file", "folder", "bytes", "dangling"])
    if path.is_dir():
        for one in sorted(path.rglob("*"), reverse=True):
            one.unlink() if one.is_file() else one.rmdir()
        path.rmdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
    if kind == "file":
        path.write_text(draw.choice(["", "{}", "null", "nonsense", "-1", "9" * 50]), encoding="utf-8")
    elif kind == "bytes":
        path.write_bytes(draw.randbytes(50))
    elif kind == "folder":
        path.mkdir()
        (path / "x").write_text("x", encoding="utf-8")
    else:
        path.symlink_to("nowhere")
    return f"{path.name} is {kind}"
