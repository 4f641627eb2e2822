"""What a person is told when something other than a `UserError` ends a stage or a command.

Most often it is the machine: memory or disk are full, a folder may not be written. That is one sentence with the
remedy; whatever is left is a bug of Reprotune, whose traceback is kept in a file.
"""

import errno
import os
import re
import traceback
from pathlib import Path

CRASH_DIRECTORY = Path(".reprotune/crashes")
WRITING = "while writing "
"""Begins the note with which `artifacts` says what was being written: most errors of a full disk name no file."""

LESS_MEMORY = {
    "finetune": "finetune.micro_batch_tokens (or set finetune.activation_checkpointing to true)",
    "generate": "generate.batch_size",
}
"""Stage -> the params that need less memory when they are lowered."""

REMEDIES = {
    errno.ENOSPC: "its disk is full: free some space",
    errno.EDQUOT: "your quota on its disk is used up: free some space",
    errno.EFBIG: "it gets larger than files may be here: raise the limit (`ulimit -f`) or use another disk",
    errno.EACCES: "permission denied: change its permissions or its owner (`ls -ld` shows them)",
    errno.EPERM: "permission denied: change its permissions or its owner (`ls -ld` shows them)",
    errno.EROFS: "its disk is mounted read-only: work in a folder that you may write to",
    errno.EMFILE: "too many files are open: raise the limit (`ulimit -n`)",
    errno.ENFILE: "too many files are open: end other programs",
    errno.EIO: "its disk reports an error: check the disk",
    errno.ENOENT: "it does not exist: check the path, or run `dvc checkout` if it is one of the artifacts",
    errno.ENOTDIR: "a part of its path is a file and no folder: move that file away",
    errno.EISDIR: "it is a folder and no file: name a file, or move the folder away",
    errno.ENAMETOOLONG: "its name is too long: choose a shorter one",
}

OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory|_ALLOC_FAILED", re.IGNORECASE)
"""How torch, CUDA and its libraries say so: a `RuntimeError` with one of these."""
NO_THREAD = re.compile(r"can't start new thread|thread creation failed|pthread_create", re.IGNORECASE)
"""How Python and the libraries say that the system gives them no thread: a `RuntimeError` with one of these."""

NOT_OPENED = re.compile(r"unable to .*file <(?P<path>.+)>.*: .*\((?P<code>\d+)\)", re.DOTALL)
"""How torch says that it cannot open or map a file, with the system's error number: a `RuntimeError`."""

NO_OTHER_PATH = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM)
"""Errors in opening or reading a file that no other file would help with."""


def advised(error: Exception, name: str) -> str:
    """Return the sentence of a `UserError`; where the machine is to blame for it, the one about the machine."""
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in NO_OTHER_PATH:
        return machine_fault(cause, name) or str(error)
    return str(error)


def told(error: Exception, name: str) -> str:
    """Return what a person is told about an error that ended the stage or command `name`: one sentence.

    If the machine is not to blame, the traceback is written to `CRASH_DIRECTORY`; where that is impossible, it follows
    the sentence.
    """
    sentence = machine_fault(error, name)
    if sentence is not None:
        return sentence
    trace = "".join(traceback.format_exception(error))
    crash_file = CRASH_DIRECTORY / f"{re.sub(r'[^a-z0-9]+', '-', name)}.txt"
    try:
        crash_file.parent.mkdir(parents=True, exist_ok=True)
        crash_file.write_text(trace, encoding="utf-8", errors="backslashreplace")
        kept = f"the file {crash_file}"
    except OSError:
        kept = f"what follows\n{trace.rstrip()}"
    return f"unexpected {type(error).__name__} ({error}); this is a bug in Reprotune: please report it with {kept}"


def machine_fault(error: Exception, name: str) -> str | None:
    """Return the sentence about a fault of the machine or of a file's encoding; None for any other error."""
    code = _system_code(error)
    if isinstance(error, MemoryError) or code == errno.ENOMEM or _is_torch_memory(error):
        return _memory_sentence(error, name)
    if code == errno.EAGAIN or (isinstance(error, RuntimeError) and NO_THREAD.search(str(error))):
        return (
            "the system starts no further process or thread, since its memory or the number that it allows is used up: "
            "end other programs, or raise the limits (`ulimit -u`, `ulimit -v`)"
        )
    if isinstance(error, UnicodeDecodeError | UnicodeEncodeError):
        return _encoding_sentence(error)
    path = _path(error)
    if code in REMEDIES:
        return f"{path or 'a file below the present folder'} cannot be read or written, {REMEDIES[code]}"
    if isinstance(error, OSError) and path is not None:
        return f"{path} cannot be read or written ({error.strerror or error}): check the path and its disk"
    return None


def _encoding_sentence(error: UnicodeDecodeError | UnicodeEncodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        file = _file_being_read(error)
        return (
            f"{file or 'a file'} is not UTF-8 text (byte 0x{error.object[error.start]:02x} at position {error.start}): "
            "save it as UTF-8"
        )
    return (
        f"the character U+{ord(error.object[error.start]):04X} cannot be written in the encoding {error.encoding}: "
        "set PYTHONIOENCODING to utf-8"
    )


def _is_torch_memory(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)) is not None


def _memory_sentence(error: Exception, name: str) -> str:
    said = str(error)
    on_gpu = "CUDA" in said or "CUBLAS" in said or "CUDNN" in said
    size = re.search(r"tried to allocate ([\d.]+ \w+)", said, re.IGNORECASE)
    asked = f" ({size[1]} more were asked for)" if size else ""
    params = LESS_MEMORY.get(name.partition("@")[0])
    remedy = f"lower {params}" if params else "end other programs, or use a machine with more"
    return f"the memory of {'the GPU' if on_gpu else 'this machine'} is full{asked}: {remedy}"


def _system_code(error: Exception) -> int | None:
    """Return the system's error number; torch and safetensors only mention it."""
    if isinstance(error, OSError):
        return error.errno
    if isinstance(error, RuntimeError) and (said := NOT_OPENED.search(str(error))):
        return int(said["code"])
    said = re.search(r"\(os error (\d+)\)", str(error)) if type(error).__name__ == "SafetensorError" else None
    return int(said[1]) if said else None


def _path(error: Exception) -> str | None:
    """Return the file that an error is about: its own, or the one that was being written, not a temporary one."""
    written = [note.removeprefix(WRITING) for note in getattr(error, "__notes__", []) if note.startswith(WRITING)]
    named = getattr(error, "filename", None)
    named = os.fsdecode(named) if isinstance(named, str | bytes) else None
    if isinstance(error, RuntimeError) and (said := NOT_OPENED.search(str(error))):
        named = said["path"]
    if named is not None and not (written and f".{os.getpid()}.tmp" in named):
        return named
    return written[-1] if written else None


def _file_being_read(error: Exception) -> Path | None:
    """Return the path whose `read_text` raised the error."""
    calls = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    paths = [value for value in calls if isinstance(value, Path)]
    return paths[-1] if paths else None
