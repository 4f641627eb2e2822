"""Which model a service says it asked: some serve whatever they have loaded, under any name."""

import re
from collections.abc import Collection
from typing import Any, Literal

from reprotune.console import note
from reprotune.errors import UserError
from reprotune.untrusted import clipped, visible

WhenOther = Literal["fail", "warn"]


def served_model(asked: str, served: Any, when_other: WhenOther) -> str | None:
    """Return the model that a reply names, as it names it; null where it names none. Raises as `check_served` does."""
    if not isinstance(served, str) or not served:
        return None
    if when_other == "fail":
        check_served(asked, [served], when_other)
    return served


def check_served(asked: str, served: Collection[str], when_other: WhenOther) -> None:
    """Raise `UserError`, or under `warn` print a note, if any of the models is another one than `asked`."""
    others = sorted(name for name in served if not is_asked(asked, name))
    if not others:
        return
    found = f"the service asked the model {visible(clipped(others[0], 80))!r} instead of judge.model {asked!r}"
    if when_other == "warn":
        note(f"judge: {found}; the scores are that model's")
        return
    raise UserError(
        f"{found}: load the right one, set judge.model to the name that the service uses, or set "
        "judge.when_other_model to warn if any model will do"
    )


def is_asked(asked: str, served: str) -> bool:
    """Tell whether a name means the model that was asked for, as far as names tell.

    A service may add the snapshot's date (`-2024-08-06`), the default tag (`:latest`) or a revision (`@main`), and may
    leave out or put in the owner, the folder and the ending of a file.
    """
    one, other = _bare(asked), _bare(served)
    return one == other or re.fullmatch(re.escape(one) + r"-\d[\d-]*", other) is not None


def _bare(name: str) -> str:
    name = name.casefold().removesuffix(":latest").partition("@")[0]
    return re.split(r"[/\\]", name)[-1].removesuffix(".gguf")
