"""Checkpoints from folders and from a loopback endpoint that answers as the hub does."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import _http
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2ForSequenceClassification, GPT2LMHeadModel

from reprotune.dataset.tokenizers.gpt2_files import save_tokenizer_files
from reprotune.errors import UserError
from reprotune.model import source as source_module
from reprotune.model.source import PINNED_REVISIONS, fetch_base
from reprotune.params.sections import fetch as fetch_params
from reprotune.params.sections.fetch import BaseParams
from tests.builders.params import whole_params

COMMIT = PINNED_REVISIONS["gpt2"]
OTHER_COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 8, "n_positions": 32}


def fetch(source: str, revision: str | None, destination: Path) -> None:
    fetch_base(BaseParams(source=source, revision=revision), destination)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 as transformers saves it, with files that must be taken and files that must not."""
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(1)
    GPT2LMHeadModel(GPT2Config(**SHAPE)).save_pretrained(folder)
    (folder / "README.md").write_text("tiny", encoding="utf-8")
    save_tokenizer_files(folder, SHAPE["n_positions"])
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    (folder / "other.safetensors").write_bytes(b"not part of the model")
    return folder


TOKENIZER_FILES = {"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"}
TAKEN = {"config.json", "generation_config.json", "model.safetensors", *TOKENIZER_FILES}


@pytest.fixture
def copy(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint for a test to damage."""
    return Path(shutil.copytree(checkpoint, tmp_path / "copy"))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def change_config(folder: Path, **options: Any) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | options
    path.write_text(json.dumps(config), encoding="utf-8")


def change_tensors(folder: Path, **tensors: torch.Tensor) -> None:
    path = folder / "model.safetensors"
    save_file(load_file(path) | {name.replace("__", "."): tensor for name, tensor in tensors.items()}, path)


def test_folder_is_taken_without_pickles(copy: Path, tmp_path: Path) -> None:
    fetch(str(copy), None, tmp_path / "base")
    assert names(tmp_path / "base") == TAKEN
    ours = GPT2LMHeadModel.from_pretrained(tmp_path / "base").state_dict()
    for name, tensor in GPT2LMHeadModel.from_pretrained(copy).state_dict().items():
        assert torch.equal(ours[name], tensor)
    with (copy / "model.safetensors").open("r+b") as file:
        file.truncate(0)
    assert (tmp_path / "base" / "model.safetensors").stat().st_size, "a copy, so a later save cannot change it"


def test_embedded(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_params, "EMBEDDED_BASE", copy)
    fetch("embedded", None, tmp_path / "base")
    assert names(tmp_path / "base") == TAKEN


def test_earlier_model_is_replaced_whole_or_not_at_all(copy: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "old.txt").write_text("old", encoding="utf-8")
    change_config(copy, model_type="gemma3")
    with pytest.raises(UserError):
        fetch(str(copy), None, base)
    assert names(base) == {"old.txt"}
    change_config(copy, model_type="gpt2")
    fetch(str(copy), None, base)
    assert names(base) == TAKEN
    assert not [name for name in names(tmp_path) if name.endswith(".tmp")]


def test_a_full_disk_is_that_of_the_copy(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(str(copy), None, tmp_path / "base")
    assert str(copy) not in caught.value.filename


def test_sharded_folder(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sharded"
    GPT2LMHeadModel.from_pretrained(checkpoint).save_pretrained(folder, max_shard_size="1MB")
    shards = {name for name in names(folder) if name.startswith("model-")}
    assert len(shards) > 1
    fetch(str(folder), None, tmp_path / "base")
    assert names(tmp_path / "base") == names(folder) | TOKENIZER_FILES
    (folder / min(shards)).unlink()
    with pytest.raises(UserError, match=f"{min(shards)} is missing"):
        fetch(str(folder), None, tmp_path / "base")


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/x.safetensors", "a\\b.safetensors", "model.bin", ".."]
)
def test_shard_names_cannot_leave_the_folder(copy: Path, tmp_path: Path, shard: str) -> None:
    (copy / "model.safetensors").unlink()
    (tmp_path / "secret.safetensors").write_bytes(b"secret")
    index = {"weight_map": {"wte.weight": shard}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(UserError, match=r"not a \.safetensors file of the folder"):
        fetch(str(copy), None, tmp_path / "base")


def test_links_cannot_leave_the_folder(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    link = "special_tokens_map.json"
    (copy / link).symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"special_tokens_map\.json is a link to .*outside the folder"):
        fetch(str(copy), None, tmp_path / "base")
    (copy / link).unlink()
    (copy / link).symlink_to("generation_config.json")
    fetch(str(copy), None, tmp_path / "base")
    assert not (tmp_path / "base" / link).is_symlink()


def test_a_model_without_a_tokenizer_is_named_by_its_folder(copy: Path, tmp_path: Path) -> None:
    (copy / "merges.txt").unlink()
    with pytest.raises(UserError) as refusal:
        fetch(str(copy), None, tmp_path / "base")
    assert str(refusal.value).startswith(f"{copy / 'tokenizer.json'} is missing")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "gemma3"}, "model_type is 'gemma3', .* one of gpt2, llama, mistral, qwen2, qwen3"),
        ({"model_type": None}, "model_type is None"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"vocab_size": 50258}, r"wte\.weight is of shape \[50257, 8\], but config.json implies \[50258, 8\]"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"scale_attn_weights": False}, "scale_attn_weights is False"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings is False"),
        ({"n_inner": 16}, r"tensor h\.0\.mlp\.c_fc\.weight is of shape \[8, 32\], but config.json implies \[8, 16\]"),
        ({"n_head": 3}, "n_embd 8 is not a multiple of n_head 3"),
        ({"n_layer": "2"}, "n_layer is '2'"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon is 0.0"),
        ({"n_layer": 3}, "tensor h.2.ln_1.weight is missing"),
        ({"n_layer": 1}, r"does not have \(h\.1\.attn\.c_attn\.bias"),
        ({"n_positions": 16}, r"wpe\.weight is of shape \[32, 8\], but config.json implies \[16, 8\]"),
        ({"n_embd": 16}, r"wte\.weight is of shape"),
    ],
)
def test_unfit_configs(copy: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    change_config(copy, **options)
    with pytest.raises(UserError, match=message):
        fetch(str(copy), None, tmp_path / "base")


def test_tensors_that_may_be_there(copy: Path, tmp_path: Path) -> None:
    """The hub's own GPT-2 files hold the causal mask; half precision and a copy of the tied head are fine too."""
    mask = torch.ones(1, 1, 32, 32).tril()
    change_tensors(copy, h__0__attn__bias=mask, lm_head__weight=torch.zeros(50257, 8), wpe__weight=torch.zeros(32, 8))
    path = copy / "model.safetensors"
    save_file({name.removeprefix("transformer."): tensor.bfloat16() for name, tensor in load_file(path).items()}, path)
    fetch(str(copy), None, tmp_path / "base")


def test_unfit_tensors(checkpoint: Path, copy: Path, tmp_path: Path) -> None:
    change_tensors(copy, transformer__ln_f__bias=torch.zeros(8, dtype=torch.float64))
    with pytest.raises(UserError, match=r"'transformer\.ln_f\.bias' is F64"):
        fetch(str(copy), None, tmp_path / "base")
    whole = (checkpoint / "model.safetensors").read_bytes()
    for damaged in [whole[:-1], whole[:100], b"", b"version https://git-lfs.github.com/spec/v1\n", b"\xff" * 64]:
        (copy / "model.safetensors").write_bytes(damaged)
        with pytest.raises(UserError, match="not a complete safetensors file"):
            fetch(str(copy), None, tmp_path / "base")
    GPT2ForSequenceClassification(GPT2Config(**SHAPE)).save_pretrained(copy)
    with pytest.raises(UserError, match=r"does not have \(score\.weight\)"):
        fetch(str(copy), None, tmp_path / "base")


def test_folder_without_what_is_needed(copy: Path, tmp_path: Path) -> None:
    (copy / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"config\.json is not valid JSON"):
        fetch(str(copy), None, tmp_path / "base")
    (copy / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        fetch(str(copy), None, tmp_path / "base")
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match="no pickled weights"):
        fetch(str(copy), None, tmp_path / "base")
    with pytest.raises(UserError, match=r"not a folder.*gpt2, gpt2-medium, gpt2-large, gpt2-xl"):
        fetch("openai-community/gpt2", None, tmp_path / "base")
    with pytest.raises(ValueError, match="not on the hub: set it to null"):
        fetch(str(copy), OTHER_COMMIT, tmp_path / "base")


class Hub:
    """Answers `/openai-community/gpt2/resolve/<commit>/<file>` as the hub does, from a folder."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[tuple[str, str, str | None]] = []
        self.closed_with: int | None = None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
                repository, _, rest = self.path.removeprefix("/").partition("/resolve/")
                commit, _, name = rest.partition("/")
                path = folder / name
                if hub.closed_with is not None:
                    return self.refuse(hub.closed_with, None)
                if repository != "openai-community/gpt2":
                    return self.refuse(401, "RepoNotFound")
                if commit != COMMIT:
                    return self.refuse(404, "RevisionNotFound")
                if not path.is_file():
                    return self.refuse(404, "EntryNotFound")
                self.send_response(200)
                self.send_header("ETag", f'"{name}-etag"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(path.stat().st_size))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(path.read_bytes())
                return None

            do_GET = do_HEAD  # noqa: N815 - the name is the base class's

            def refuse(self, status: int, code: str | None) -> None:
                self.send_response(status)
                if code is not None:
                    self.send_header("X-Error-Code", code)
                    self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Give huggingface_hub a cache and token of our own and no waits; it reads the environment only on import."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr(_http.time, "sleep", lambda _: None)
    yield monkeypatch


def point_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(checkpoint: Path, endpoint: pytest.MonkeyPatch) -> Iterator[Hub]:
    hub = Hub(checkpoint)
    thread = threading.Thread(target=hub.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    point_to(endpoint, hub.endpoint)
    yield hub
    hub.http.shutdown()
    thread.join()
    hub.http.server_close()


def test_hub(hub: Hub, checkpoint: Path, tmp_path: Path) -> None:
    fetch("gpt2", None, tmp_path / "base")
    assert names(tmp_path / "base") == TAKEN
    for name in TAKEN - {"tokenizer.json"}:  # made from the vocabulary
        assert (tmp_path / "base" / name).read_bytes() == (checkpoint / name).read_bytes()
        assert not (tmp_path / "base" / name).is_symlink()
    asked = [path for _, path, _ in hub.requests]
    assert not [path for path in asked if path.endswith((".bin", ".pt", ".h5", "other.safetensors"))]
    assert {token for _, path, token in hub.requests if "/resolve/" in path} == {"Bearer hf_secret"}


def test_stage_takes_the_endpoint_from_the_environment(hub: Hub, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    params = "fetch:\n  base:\n    source: gpt2\n    revision: null\n"
    (tmp_path / "params.yaml").write_text(whole_params(params), encoding="utf-8")
    online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path)}
    environment = os.environ | online | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "stages.fetch", "base"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert names(tmp_path / "data" / "base") == TAKEN
    assert {token for _, path, token in hub.requests if "/resolve/" in path} == {"Bearer hf_secret"}


def test_hub_cache_serves_offline_and_as_a_folder(hub: Hub, endpoint: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetch("gpt2", None, tmp_path / "online")
    endpoint.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub.requests.clear()
    fetch("gpt2", None, tmp_path / "offline")
    assert names(tmp_path / "offline") == TAKEN
    snapshot = tmp_path / "cache" / "models--openai-community--gpt2" / "snapshots" / COMMIT
    assert (snapshot / "config.json").is_symlink()
    fetch(str(snapshot), None, tmp_path / "by-path")
    assert names(tmp_path / "by-path") == TAKEN
    assert not hub.requests


def test_offline_with_an_empty_cache(endpoint: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endpoint.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"HF_HUB_OFFLINE forbids.*embedded or to a local folder"):
        fetch("gpt2", None, tmp_path / "base")


def test_endpoint_that_is_down(endpoint: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
    point_to(endpoint, address)
    sentence = rf"cannot download openai-community/gpt2/config\.json from {address} .*HF_ENDPOINT.*local folder"
    with pytest.raises(UserError, match=sentence):
        fetch("gpt2", None, tmp_path / "base")
    assert not (tmp_path / "base").exists()


def test_hub_refusals(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"answered 401 .*HF_TOKEN.*HF_ENDPOINT.*local folder"):
        fetch("gpt2-xl", None, tmp_path / "base")
    with pytest.raises(UserError, match=f"no revision {OTHER_COMMIT}.*set fetch.base.revision to null"):
        fetch("gpt2", OTHER_COMMIT, tmp_path / "base")
    for status in (403, 500):
        hub.closed_with = status
        with pytest.raises(UserError, match=f"answered {status} .*HF_TOKEN"):
            fetch("gpt2", None, tmp_path / "base")


def test_hub_repository_without_safetensors(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "WEIGHTS", "absent.safetensors")
    with pytest.raises(UserError, match=r"has no absent\.safetensors"):
        fetch("gpt2", None, tmp_path / "base")


def test_other_disk_gets_a_copy(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    fetch("gpt2", None, tmp_path / "base")
    assert names(tmp_path / "base") == TAKEN
