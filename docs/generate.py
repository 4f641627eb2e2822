"""Write the reference pages of the manual from the code: `python -m docs.generate`, or `make generated`.

With `--check` nothing is written; the exit code is 1 when a page is not what would be written.
"""

import sys
from pathlib import Path

from docs.artifacts_page import artifacts_page
from docs.params_page import params_page

FOLDER = Path(__file__).parent
PAGES = {"params.md": params_page, "artifacts.md": artifacts_page}
NOTICE = "<!-- Written by `make generated`: edit the code that this page comes from, not the page. -->\n\n"


def page_text(name: str) -> str:
    """Return the whole text of a generated page."""
    return NOTICE + PAGES[name]()


def is_current(name: str) -> bool:
    """Tell whether a page is what would be written."""
    path = FOLDER / name
    return path.is_file() and path.read_text(encoding="utf-8") == page_text(name)


if __name__ == "__main__":
    stale = [name for name in PAGES if not is_current(name)]
    if "--check" in sys.argv[1:]:
        sys.exit(f"not what the code says: {', '.join(stale)}: run `make generated` and commit it" if stale else 0)
    for page in stale:
        (FOLDER / page).write_text(page_text(page), encoding="utf-8", newline="\n")
