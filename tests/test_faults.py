"""What a person is told when the machine, a file's encoding or a bug ends a stage or a command."""

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors import SafetensorError

from reprotune import faults
from reprotune.artifacts import replaced_directory, write_text
from reprotune.errors import UserError
from reprotune.faults import LESS_MEMORY, advised, machine_fault, told
from reprotune.files import open_regular
from reprotune.params.document import Document
from reprotune.params.reference import param_entries

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def system_error(code: int, file: str | None = None) -> OSError:
    return OSError(code, os.strerror(code), file) if file else OSError(code, os.strerror(code))


CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 8 GiB")
CPU = RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 800000 bytes.")


@pytest.mark.parametrize(
    ("error", "name", "sentence"),
    [
        (
            CUDA,
            "finetune",
            "the memory of the GPU is full (2.00 GiB more were asked for): lower finetune.micro_batch_tokens "
            "(or set finetune.activation_checkpointing to true)",
        ),
        (
            CPU,
            "generate@base",
            "the memory of this machine is full (800000 bytes more were asked for): lower generate.batch_size",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
            "generate@finetuned",
            "the memory of the GPU is full: lower generate.batch_size",
        ),
        (
            RuntimeError("unable to open file </a/best-21.safetensors> in read-only mode: Too many open files (24)"),
            "finetune",
            "/a/best-21.safetensors cannot be read or written, too many files are open: raise the limit (`ulimit -n`)",
        ),
        (
            RuntimeError("unable to mmap 3263736 bytes from file <a/model.safetensors>: Cannot allocate memory (12)"),
            "generate@base",
            "the memory of this machine is full: lower generate.batch_size",
        ),
        (
            MemoryError(),
            "split",
            "the memory of this machine is full: end other programs, or use a machine with more",
        ),
        (
            system_error(errno.ENOSPC, "data/raw/records.parquet"),
            "fetch@dataset",
            "data/raw/records.parquet cannot be read or written, its disk is full: free some space",
        ),
        (
            system_error(errno.ENOSPC),
            "fetch@dataset",
            "a file below the present folder cannot be read or written, its disk is full: free some space",
        ),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "finetune",
            "a file below the present folder cannot be read or written, its disk is full: free some space",
        ),
        (
            RuntimeError("can't start new thread"),
            "generate@base",
            "the system starts no further process or thread, since its memory or the number that it allows is used up: "
            "end other programs, or raise the limits (`ulimit -u`, `ulimit -v`)",
        ),
        (
            system_error(errno.EAGAIN),
            "reprotune compare",
            "the system starts no further process or thread, since its memory or the number that it allows is used up: "
            "end other programs, or raise the limits (`ulimit -u`, `ulimit -v`)",
        ),
        (
            system_error(errno.EACCES, "data"),
            "reprotune plan",
            "data cannot be read or written, permission denied: change its permissions or its owner (`ls -ld` shows "
            "them)",
        ),
        (
            system_error(errno.EROFS, "metrics/x"),
            "report",
            "metrics/x cannot be read or written, its disk is mounted read-only: work in a folder that you may write "
            "to",
        ),
        (
            system_error(errno.ESTALE, "data/x"),
            "report",
            f"data/x cannot be read or written ({os.strerror(errno.ESTALE)}): check the path and its disk",
        ),
        (
            UnicodeEncodeError("ascii", "a – b", 2, 3, "ordinal not in range"),
            "reprotune summary",
            "the character U+2013 cannot be written in the encoding ascii: set PYTHONIOENCODING to utf-8",
        ),
    ],
)
def test_the_machine_s_faults_are_one_sentence_with_the_remedy(error: Exception, name: str, sentence: str) -> None:
    assert told(error, name) == sentence
    assert not Path(".reprotune").exists(), "this is nothing to report"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS])
def test_every_refusal_to_write_has_a_remedy(code: int) -> None:
    assert code in faults.REMEDIES


def test_the_params_that_need_less_memory_exist() -> None:
    keys = {entry.key for entry in param_entries()}
    assert {text.split()[0] for text in LESS_MEMORY.values()} <= keys
    assert "finetune.activation_checkpointing" in keys
    assert set(LESS_MEMORY) <= set(Document.model_fields)


def test_libraries_that_run_out_of_memory_are_understood() -> None:
    """The errors themselves, in case a library words them anew."""
    for allocate in (
        lambda: torch.empty(10**15),
        lambda: np.ones(10**15),
        lambda: pa.allocate_buffer(10**16),
        lambda: bytearray(10**17),
    ):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            allocate()
        assert "memory of this machine is full" in str(machine_fault(caught.value, "split"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which Linux has")
def test_a_full_disk_names_the_artifact_that_was_being_written() -> None:
    with pytest.raises(OSError) as caught, replaced_directory(Path("data/raw")), Path("/dev/full").open("w") as file:
        file.write("x")
    assert str(machine_fault(caught.value, "split")).startswith("data/raw cannot be read or written, its disk is full")


def test_a_temporary_name_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object, **__: object) -> int:
        raise system_error(errno.EACCES, str(self))

    monkeypatch.setattr(Path, "write_text", refused)
    with pytest.raises(OSError) as caught:
        write_text(Path("params.yaml"), "x")
    assert str(machine_fault(caught.value, "reprotune preset apply")).startswith("params.yaml cannot be read")


def test_text_in_another_encoding_is_named_with_its_file() -> None:
    Path("gate.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(UnicodeDecodeError) as caught:
        Path("gate.txt").read_text(encoding="utf-8")
    assert told(caught.value, "x") == "gate.txt is not UTF-8 text (byte 0xef at position 2): save it as UTF-8"


def test_anything_else_is_a_bug_whose_traceback_is_kept() -> None:
    for error in (KeyError("x"), RuntimeError("size mismatch"), system_error(errno.ECONNRESET)):
        assert "this is a bug in Reprotune" in told(error, "reprotune preset apply")
    text = Path(".reprotune/crashes/reprotune-preset-apply.txt").read_text()
    assert "ConnectionResetError" in text


def test_a_traceback_that_cannot_be_kept_is_printed_once() -> None:
    Path(".reprotune").write_text("a file where the folder should be")
    try:
        raise KeyError("lost")
    except KeyError as error:
        said = told(error, "split")
    assert said.startswith(
        "unexpected KeyError ('lost'); this is a bug in Reprotune: please report it with what follows"
    )
    assert said.count("Traceback") == 1


def test_no_path_is_blamed_for_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, flags: int) -> int:
        raise system_error(code, str(path))

    monkeypatch.setattr(os, "open", refused)
    sentences = {}
    for code in (errno.EMFILE, errno.EACCES):
        with pytest.raises(UserError) as caught:
            open_regular(Path("rows.json"), "check fetch.dataset.source")
        sentences[code] = advised(caught.value, "fetch@dataset")
    assert sentences[errno.EMFILE] == (
        "rows.json cannot be read or written, too many files are open: raise the limit (`ulimit -n`)"
    )
    assert sentences[errno.EACCES] == "rows.json cannot be read (permission denied): check fetch.dataset.source"
    assert advised(UserError("a row is wrong"), "split") == "a row is wrong"
