"""How the exported files compare with our own decoder: data/export/gguf/parity.json, read and checked."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from reprotune.results.documents import Count, Part, Share, read_checked


class ExportedFile(Part):
    """A GGUF file."""

    together = (("same_prompts", "same_ids", "same_answers"),)

    bytes: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    same_prompts: Share | None = None
    same_ids: Share | None = None
    same_answers: Share | None = None


class Parity(Part):
    """data/export/gguf/parity.json"""

    checked_with: str | None
    why_not: str | None
    rows: Count
    files: dict[str, ExportedFile]
    omitted: dict[str, str]


def read_parity(data: Path, remedy: str) -> dict[str, Any]:
    """Read parity.json below `data`; raises `UserError` that ends in `remedy`."""
    return read_checked(data / "export/gguf/parity.json", Parity, remedy)
