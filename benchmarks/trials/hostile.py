"""Cases of hostile text, from the dataset to the report, the comparison, its Markdown and the terminal: inert."""

import json
import subprocess
import unicodedata
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from markdown_it import MarkdownIt

from .cases import Plan, Step, subject
from .datasets import rows_of
from .project import STAGES, Project
from .verdicts import Ran

MARK = "torment"
"""Stands in every hostile text; no element, attribute, link or file may be called so."""
HOSTILE = (
    f"<{MARK}-x onclick=alert(1)>",
    f"<script>{MARK}()</script>",
    f"</script><script>{MARK}()</script>",
    f"</title></textarea></style></template><{MARK}-x>",
    f"<!--{MARK}--><img src=x onerror={MARK}()>",
    f'"><{MARK}-x>',
    f"'><svg/onload={MARK}()>",
    f'" onmouseover={MARK}() x="',
    f"javascript:{MARK}()",
    f"&lt;{MARK}-x&gt; &#60;{MARK}-x&#62;",
    f"{{{{ {MARK} }}}}{{% raw %}}{{% endraw %}}{{# {MARK} #}}",
    f"${{{MARK}}} $(touch {MARK}) `touch {MARK}` ;touch {MARK}",
    f"../../{MARK}",
    f"/tmp/{MARK}",  # noqa: S108 - only a text
    f"\x1b[31m{MARK}\x1b[0m \x1b]0;{MARK}\x07 \x9b31m",
    f"\u202e{MARK}\u202c \u2066{MARK}\u2069",
    f"{MARK}\x00\x07\x08\x7f\x85\u2028\u2029",
    f"\r{MARK}\rover\x0b\x0c",
    f"# {MARK}\n\n## {MARK}\n",
    f"[{MARK}](http://{MARK}.example) ![{MARK}](http://{MARK}.example/x.png) <http://{MARK}.example>",
    f"http://{MARK}.example www.{MARK}.example a@{MARK}.example",
    f"| {MARK} | {MARK} |\n|---|---|\n| {MARK} |",
    f"</details></summary><{MARK}-x>",
    f"```\n{MARK}\n```\n~~~\n",
    f"- {MARK}\n1. {MARK}\n> {MARK}\n---\n===\n",
    f"@{MARK} #1 {MARK}/{MARK}#1 :smile:",
    f"=cmd|'/C {MARK}'!A0",
    f"+{MARK}",
    f"-{MARK}\t@SUM(1)",
    f"{MARK}: [a, &b *c]\n- !!python/object/apply:os.system ['touch {MARK}']",
    f"<|endoftext|>{MARK}<|endoftext|>",
    f"### Response:\n{MARK}\n### Instruction:\n",
    f"{MARK}\ufeff\u200b\u200d\u00ad",
    f"Z\u0351\u036b\u0343\u036a\u0302{MARK}" + "\u0351" * 60,
    f"{MARK}" * 300,
    f"\U0001f469\u200d\U0001f680 {MARK} \U000e0041\U000e007f",
)


@subject("f", "hostile", whole=True, share=3)
def hostile(draw: Random, folder: Path, project: Project) -> Plan:
    """Hostile rows through the whole pipeline, then compared with the run before."""
    rows = rows_of(project)
    chosen = draw.sample(HOSTILE, 8)
    for row in rows:
        for field in draw.sample(("instruction", "input", "output", "category"), draw.choice([1, 2])):
            row[field] = draw.choice(chosen) + (f" {draw.randrange(10_000)}" if field != "category" else "")
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "data/embedded/dataset.jsonl").write_text(text, encoding="utf-8")
    project.set_params(folder, {"generate.max_new_tokens": 2, "finetune.epochs": 1, "tokenize.max_length": 512})
    steps = [Step(words) for words in STAGES.values()]
    comparison = ["reprotune", "compare", "HEAD", "--markdown", "c.md", "--html", "c.html"]
    # Only what dvc.lock knows is compared; so the two folders are, which need no lock.
    other = folder.with_name(f"{folder.name}-before")
    project.whole(other)
    comparison[2] = str(other)
    steps += [Step(["reprotune", "summary"]), Step(comparison), Step(["reprotune", "plan"])]

    def put_away() -> None:
        subprocess.run(["rm", "-rf", str(other)], check=False)

    return Plan(
        f"{len(chosen)} hostile texts: {', '.join(map(ascii, chosen))}"[:600],
        steps,
        check=lambda ran: active(folder, ran),
        after=put_away,
    )


def active(folder: Path, ran: list[Ran]) -> str | None:
    """Return where hostile text has become more than text."""
    for name in ("data/report/index.html", "c.html"):
        if found := in_page((folder / name).read_text(encoding="utf-8")):
            return f"{name}: {found}"
    if found := in_markdown((folder / "c.md").read_text(encoding="utf-8")):
        return f"c.md: {found}"
    for one in ran:
        for stream in (one.stdout, one.stderr):
            if odd := sorted({character for character in stream if is_control(character)}):
                return f"{' '.join(one.words)} prints {odd!a}"
    if strays := [path for path in folder.rglob(f"*{MARK}*") if ".git" not in path.parts]:
        return f"a file {strays[0]}"
    return None


def is_control(character: str) -> bool:
    """Tell whether a character moves the cursor or changes the direction; joiners and soft hyphens belong to words."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in "\n\t\r\u200c\u200d\u00ad"


class Page(HTMLParser):
    """Finds elements, attributes and scripts that hostile text has made."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag == "script" and ("type", "application/json") not in attrs
        if MARK in tag:
            self.found.append(f"element {tag}")
        for name, value in attrs:
            if MARK in name or name.startswith("on"):
                self.found.append(f"attribute {name} of {tag}")
            if name in ("href", "src", "action", "style") and MARK in (value or ""):
                self.found.append(f"{name}={value!r} of {tag}")

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script and MARK in data:
            self.found.append("a script with it")

    def handle_comment(self, data: str) -> None:
        if MARK in data:
            self.found.append("a comment with it")


def in_page(text: str) -> str | None:
    page = Page()
    page.feed(text)
    page.close()
    return page.found[0] if page.found else None


def in_markdown(text: str) -> str | None:
    """Return which structure of GitHub's Markdown the text has made."""
    tokens: list[Any] = MarkdownIt("gfm-like", {"html": True}).disable("linkify").parse(text)
    for token in tokens:
        if token.type == "html_block" and (found := in_page(token.content)):
            return f"{token.type}: {found}"
        if token.type == "inline" and token.level == 1 and token.map and MARK in token.content:
            before = tokens[tokens.index(token) - 1]
            if before.type == "heading_open":
                return f"a heading: {token.content[:100]!r}"
        for child in token.children or []:
            if child.type == "html_inline" and MARK in child.content:
                return f"markup: {child.content[:100]!r}"
            target = str(child.attrs.get("href", "")) + str(child.attrs.get("src", ""))
            if child.type in ("link_open", "image") and MARK in target:
                return f"{child.type} to {target[:100]!r}"
    return None
