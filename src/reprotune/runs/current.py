"""Whether repeats are those of the params, code and data that are there: by what DVC recorded when they were made."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from reprotune.params.differences import param_changes
from reprotune.params.values import PARAMS_FILE, read_document
from reprotune.pipeline.dvc_yaml import CODE
from reprotune.pipeline.hashes import Hashes
from reprotune.pipeline.lock import read_lock

STAGE = "repeat"
REPEATS_LOCK = "repeats/dvc.lock"


def changes_since_repeats(
    stages: Mapping[str, Any], params: Any, hash_of: Callable[[str], str | None]
) -> Iterator[str]:
    """Yield what has changed since the repeats were made; nothing if they are those of what is there.

    `stages` are those of `REPEATS_LOCK`; `hash_of` returns the MD5 that a dep has now, null for one that is gone.
    """
    locked = stages.get(STAGE)
    if locked is None:
        yield f"they are not in {REPEATS_LOCK}"
        return
    sections = locked["params"].get(str(PARAMS_FILE), {})
    now = {key: params[key] for key in sections if isinstance(params, dict) and key in params}
    yield from map(str, param_changes(sections, now))
    for dep in locked["deps"]:
        if hash_of(dep["path"]) != dep.get("md5"):
            yield f"{dep['path']}: changed"


def changes_here(root: Path) -> list[str]:
    """Return what has changed in a working tree since its repeats were made.

    Data counts as the tree's dvc.lock has it, so that what is merely missing here is no change. Raises `UserError`
    where a file cannot be read.
    """
    hashes = Hashes(root)
    items = [item for stage in read_lock(root).values() for item in (*stage["deps"], *stage["outs"])]
    known = {item["path"]: item.get("md5") for item in items}

    def hash_of(path: str) -> str | None:
        if path.startswith(CODE):
            return hashes.of(path)
        return known.get(path)

    stages = read_lock(root / Path(REPEATS_LOCK).parent)
    return list(changes_since_repeats(stages, read_document(root / PARAMS_FILE), hash_of))
