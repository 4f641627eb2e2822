#!/usr/bin/env python3
"""Turns the summary that a pull request's own code wrote into the text of a comment: inert, bounded, and called so.

    .github/scripts/inert.py ARTIFACT.zip COMMIT > comment.md

Reads `summary.md` out of the artifact and nothing else. The text may be anything. It is not parsed, because another
parser than GitHub's could be misled: each character that can begin something active is changed wherever it stands, so
that the same holds inside and outside code. What is left is plain formatting: headings, tables, lists, code. Runs
with Python's standard library alone, since nothing that a pull request could choose may be installed beside it.
"""

import re
import sys
import unicodedata
import zipfile

MARKER = "<!-- reprotune review -->"
"""First line of the comment, by which the next review finds it."""

NOTICE = """\
> [!NOTE]
> This review of commit {} was made by the pull request's own code, which can write what it likes here.
> Links, mentions and images are switched off. The page with every row is an artifact of the run."""
CUT = "\n\n(The rest is left out: the summary is too long.)"
MEMBER = "summary.md"
MOST_BYTES = 400_000
MOST_CHARS = 64_000
"""GitHub refuses comments of more than 65,536 characters."""

GAP = "\u200b"
"""A space without width: it parts what must not stand together, and is not seen."""
HARMLESS = "\n\t\u200b\u200c\u200d\u00ad"
FOLD, UNFOLD = "<details><summary>Both answers, side by side</summary>", "</details>"
"""The only tags that are kept, as whole lines."""

# entities that the summary itself uses for what would be Markdown; none of them stands for @, : or /
KEPT_ENTITY = r"&(?!#(?:38|42|60|62|91|92|93|95|96|124|126|8203);)"
ACTIVE = (
    (r"&#35;", f"#{GAP}"),
    (KEPT_ENTITY, f"&{GAP}"),  # `&#64;team` is a mention, too
    (r"@(?!&#8203;)", f"@{GAP}"),  # mentions of people and teams, addresses
    (r"<", "\uff1c"),  # tags, comments, links in angle brackets: a sign of double width is none
    (r"\$", "\uff04"),  # formulas
    (r"\](?=[(\[:])", f"]{GAP}"),  # links, images, what they refer to, footnotes
    (r":(?=\\*/)", f":{GAP}"),  # addresses that become links by themselves
    (r"(?i)(www)(?=\\*\.)", rf"\1{GAP}"),
    (r"#(?=\d)(?<!&#)", f"#{GAP}"),  # references to issues, which leave a trace there
    (r"(?i)\b(gh)-(?=\d)", rf"\1{GAP}-"),
    (r"(`{3,}|~{3,})(?=[^\S\n]*[^\s`~])", rf"\1{GAP}"),  # blocks that are drawn, as diagrams and maps are
    (r"(?m)^([^\S\n]*)/", rf"\1{GAP}/"),  # commands to bots
)


def inert(text: str) -> str:
    """Return text without anything that acts, at most `MOST_CHARS` long."""
    text = text.replace("\r\n", "\n").removeprefix(f"{MARKER}\n")
    lines = (line if line in (FOLD, UNFOLD) else _inert_line(line) for line in text.split("\n"))
    quiet = "\n".join(lines)
    return quiet if len(quiet) <= MOST_CHARS else f"{quiet[: MOST_CHARS - len(CUT)]}{CUT}"


def _inert_line(line: str) -> str:
    line = "".join(_visible(character) for character in line)
    for pattern, replacement in ACTIVE:
        line = re.sub(pattern, replacement, line)
    return line


def _visible(character: str) -> str:
    """Spell out control characters and those that change the direction of text."""
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in HARMLESS
    return f"\u27e8U+{ord(character):04X}\u27e9" if hidden else character


def read_summary(path: str) -> str:
    """Return the summary in an artifact; exits with a sentence where there is none."""
    try:
        with zipfile.ZipFile(path) as artifact, artifact.open(MEMBER) as file:
            return file.read(MOST_BYTES).decode("utf-8", errors="replace")
    except Exception as error:  # a broken archive raises whatever its compression does
        sys.exit(f"The artifact has no {MEMBER} that can be read ({type(error).__name__}): no comment is written")


def main() -> None:
    if len(sys.argv) != 3:
        print("Usage: .github/scripts/inert.py ARTIFACT.zip COMMIT > comment.md", file=sys.stderr)
        sys.exit(2)
    path, commit = sys.argv[1:]
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        sys.exit(f"{commit!r} is no commit")
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    print(f"{MARKER}\n{NOTICE.format(commit[:8])}\n\n{inert(read_summary(path)).strip()}")


if __name__ == "__main__":
    main()
