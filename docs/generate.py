"""Write the reference pages of the manual from the code: `python -m docs.generate`, or `make generated`."""

from pathlib import Path

from docs.artifacts_page import artifacts_page
from docs.params_page import params_page

FOLDER = Path(__file__).parent
PAGES = {"params.md": params_page, "artifacts.md": artifacts_page}
NOTICE = "<!-- Written by `make generated`: edit the code that this page comes from, not the page. -->\n\n"


def page_text(name: str) -> str:
    """Return the whole text of a generated page."""
    return NOTICE + PAGES[name]()


if __name__ == "__main__":
    for page in PAGES:
        (FOLDER / page).write_text(page_text(page), encoding="utf-8", newline="\n")
