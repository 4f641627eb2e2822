"""The comment that is made of what a pull request's own code wrote: inert, bounded, and on that pull request alone."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reprotune.compare.comparison import compare
from reprotune.compare.markdown import comparison_markdown
from reprotune.compare.snapshot import Snapshot

SCRIPTS = Path(__file__).resolve().parents[2] / ".github/scripts"
SHA = "1a2b3c4d" * 5
MARKER = "<!-- reprotune review -->"

spec = spec_from_file_location("inert", SCRIPTS / "inert.py")
assert spec is not None and spec.loader is not None
inert = module_from_spec(spec)
spec.loader.exec_module(inert)

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PIECES = [
    "@team",
    "@",
    "&#64;",
    "&commat;",
    "&#x40;",
    "<img src=//x>",
    "<!--",
    "-->",
    "<",
    "</details>",
    "![a](b)",
    "](",
]
PIECES += [
    "[a]: //x",
    "[a][b]",
    "[a]",
    "](x)",
    "https://x.y",
    "http:\\//x",
    "www.x.y",
    "www\\.x",
    "#12",
    "&#35;12",
    "GH-1",
]
PIECES += [
    "```mermaid\n",
    "```",
    "~~~geojson\n",
    "`",
    "\\",
    "\n",
    "    ",
    "> ",
    "- ",
    "|",
    "$x$",
    "$$",
    "/deploy",
    "\r",
    "*",
]
PIECES += [
    "\u202e",
    "\x1b",
    "\0",
    "\u2028",
    "a",
    " ",
    "1",
    "<details><summary>Both answers, side by side</summary>",
    ":",
]
FOREIGN = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)

ACTIVE_TEXT = re.compile(
    r"@[A-Za-z0-9]|(?<![A-Za-z0-9])#\d|(?i:\bgh-\d)|://|(?i:www\.)|\$|[\x00-\x08\x0b-\x1f\u2028\u202e]"
)
"""What GitHub turns into something in the text of a page, whatever Markdown it comes from."""


def tokens(markdown: str) -> list[Token]:
    flat = GITHUB.parse(markdown)
    return flat + [child for token in flat for child in token.children or []]


def check_inert(text: str) -> None:
    found = tokens(text)
    assert not [token for token in found if token.type in ("link_open", "image")]
    markup = [line for t in found if t.type in ("html_block", "html_inline") for line in t.content.split("\n")]
    assert {line.strip() for line in markup} <= {inert.FOLD, inert.UNFOLD, ""} | {
        line.strip() for line in markup if "<" not in line
    }
    assert not [token.info for token in found if token.type == "fence" and re.match(r"\w", token.info)]
    for token in found:
        if token.type in ("text", "code_inline", "code_block", "fence", "html_block"):
            assert not ACTIVE_TEXT.search(token.content), token.content
    assert not re.search(r"(?m)^\s*/", text)


@given(FOREIGN)
def test_nothing_active_is_left_of_any_text(text: str) -> None:
    check_inert(inert.inert(text))


def test_a_real_summary_keeps_its_form(snapshots: tuple[Snapshot, Snapshot]) -> None:
    summary = f"{MARKER}\n{comparison_markdown(compare(*snapshots))}\n### Gate: passed\n\n    fetch@dataset  kept\n"
    quiet = inert.inert(summary)
    check_inert(quiet)
    kinds = [[token.type for token in GITHUB.parse(text)] for text in (summary.removeprefix(f"{MARKER}\n"), quiet)]
    assert kinds[0] == kinds[1]
    assert "fetch@\u200bdataset" in quiet
    for kept in ("| Metric | Before |", "&#62;", inert.FOLD):
        assert (kept in summary) == (kept in quiet)


@pytest.mark.parametrize("text", ["x" * 70_000, "@" * 70_000, "\u202e" * 20_000])
def test_the_size_is_bounded(text: str) -> None:
    quiet = inert.inert(text)
    assert len(quiet) <= inert.MOST_CHARS
    assert quiet.endswith(inert.CUT)
    assert inert.MOST_CHARS + len(MARKER) + len(inert.NOTICE) < 65_536


def archive(path: Path, content: bytes | None, name: str = "summary.md") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("number.txt", "99")
        if content is not None:
            file.writestr(name, content)
    return path


def read(path: Path, commit: str = SHA) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", SCRIPTS / "inert.py", path, commit]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_comment_says_whose_words_it_holds(tmp_path: Path) -> None:
    text = read(archive(tmp_path / "a.zip", f"{MARKER}\n## Better\xff".encode("latin-1"))).stdout
    assert text.startswith(f"{MARKER}\n> [!NOTE]\n")
    assert "commit 1a2b3c4d was made by the pull request's own code" in text
    assert text.index("own code") < text.index("## Better")
    assert text.count("<!--") == 1


def test_an_archive_that_unfolds_without_end_is_cut_off(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", b"0" * 200_000_000)
    assert path.stat().st_size < 1_000_000
    assert len(read(path).stdout) < 65_536


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_bytes(b"no archive"),
        lambda path: archive(path, None),
        lambda path: archive(path, b"x", "../summary.md"),
        lambda path: path.write_bytes(archive(path, b"x" * 5000).read_bytes().replace(b"summary.md", b"summary.me", 1)),
    ],
)
def test_an_artifact_without_a_summary_is_a_sentence(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "a.zip")
    done = read(tmp_path / "a.zip")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "no comment is written" in done.stderr


FAKE_GH = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$LOG"
case "$*" in
  */pulls*) printf "$PULLS" ;;
  */runs/7/artifacts*) printf "$ARTIFACTS" ;;
  */artifacts/*/zip) cat "$ARCHIVE" ;;
  *--method\\ P*) for word in "$@"; do case $word in body=@*) cat "${word#body=@}" > "$LOG.body" ;; esac; done ;;
esac
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, which is not here")
class TestPublish:
    """Which pull request gets the comment, and when there is none."""

    @pytest.fixture
    def publish(self, tmp_path: Path) -> Callable[..., tuple[str, str]]:
        (tmp_path / "gh").write_text(FAKE_GH)
        (tmp_path / "gh").chmod(0o755)
        archive(tmp_path / "a.zip", f"{MARKER}\n@team".encode())

        def run(pulls: str, artifacts: str = "5\\t300\\n") -> tuple[str, str]:
            environment = {
                "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                "GITHUB_REPOSITORY": "owner/name",
                "RUN_ID": "7",
                "HEAD_SHA": SHA,
                "HEAD_BRANCH": "topic",
                "HEAD_REPOSITORY": "somebody/name",
                "LOG": str(tmp_path / "log"),
                "PULLS": pulls,
                "ARTIFACTS": artifacts,
                "ARCHIVE": str(tmp_path / "a.zip"),
            }
            done = subprocess.run([SCRIPTS / "publish.sh"], env=environment, check=True, capture_output=True, text=True)
            return done.stdout, (tmp_path / "log").read_text()

        return run

    def test_it_is_the_open_one_of_that_branch_and_commit(self, publish, tmp_path: Path) -> None:
        pulls = f"3\\t{'0' * 40}\\tsomebody/name\\n4\\t{SHA}\\tsomebody/name\\n9\\t{SHA}\\tother/name\\n"
        said, log = publish(pulls)
        assert said == ""
        assert "head=somebody:topic" in log
        assert "--method POST repos/owner/name/issues/4/comments" in log
        assert "issues/9/" not in log and "issues/99/" not in log
        body = (tmp_path / "log.body").read_text()
        assert body.startswith(f"{MARKER}\n> [!NOTE]")
        assert "@team" not in body

    @pytest.mark.parametrize(
        ("pulls", "artifacts", "why"),
        [
            ("", "5\\t300\\n", "no open pull request"),
            (f"3\\t{'0' * 40}\\tsomebody/name\\n", "5\\t300\\n", "no open pull request"),
            (f"3\\t{SHA}\\tsomebody/name\\n4\\t{SHA}\\tsomebody/name\\n", "5\\t300\\n", "several pull requests"),
            (f"3\\t{SHA}\\tsomebody/name\\n", "", "left no summary"),
            (f"3\\t{SHA}\\tsomebody/name\\n", "5\\t2000000\\n", "more than 1000000"),
        ],
    )
    def test_otherwise_there_is_none(self, publish, pulls: str, artifacts: str, why: str) -> None:
        said, log = publish(pulls, artifacts)
        assert why in said
        assert "--method P" not in log
