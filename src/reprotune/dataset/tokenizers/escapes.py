"""Keeping a row's text apart from the structure that a template writes around it.

In formatted text a special token stands as it is spelled, e.g. `<|im_end|>`. Where a row's own text spells one, its
first character is escaped, and so it stays text, letter by letter. `␛` stands here for the private-use character that
escapes:

    row          What does <|im_end|> mean?
    formatted    <|im_start|>user
                 What does ␛<|im_end|> mean?<|im_end|>

A text without special tokens and private-use characters is its own formatted text.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

ESCAPE = "\ue01b"
"""Makes the character that follows it ordinary; a row's own is doubled."""
HARMLESS = "\ue01c"
"""Stands for the first character of a special token where the text of a row should spell none."""


class Part(NamedTuple):
    """A stretch of formatted text: one special token, or ordinary text without escapes."""

    text: str
    special: bool


class Escapes:
    """Escapes the spellings of some special tokens; with none, only the escape itself."""

    def __init__(self, spellings: Iterable[str]) -> None:
        self.spellings = tuple(sorted(set(spellings), key=lambda spelling: (-len(spelling), spelling)))
        longest_first = "|".join(map(re.escape, self.spellings)) or "(?!)"
        self._spelled = re.compile(longest_first)
        self._starts = re.compile(f"(?={longest_first}|{ESCAPE})")
        self._first_characters = re.compile(f"(?={longest_first}).", re.DOTALL)
        self._special_or_escaped = re.compile(f"{ESCAPE}(?P<ordinary>.)|{longest_first}", re.DOTALL)
        self._longest = max(map(len, self.spellings), default=0)
        self._beginnings = {spelling[:place] for spelling in self.spellings for place in range(1, len(spelling))}
        self._ends = {spelling[place:] for spelling in self.spellings for place in range(1, len(spelling))}

    def escaped(self, text: str, edges: bool = False) -> str:
        """Return a row's text so that nothing in it is special, whatever it spells.

        With `edges`, it cannot become a part of a special token together with what a template writes next to it either.
        """
        if edges and self.touches_edge(text):
            starts = sorted({match.start() for match in self._starts.finditer(text)} | set(self._edges(text)))
            pieces = [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)], strict=True)]
            return ESCAPE.join(pieces)
        return self._starts.sub(ESCAPE, text) if self._starts.search(text) else text

    def touches_edge(self, text: str) -> bool:
        """Tell whether a text could be the beginning, the middle or the end of a special token."""
        return any(True for _ in self._edges(text))

    def _edges(self, text: str) -> Iterator[int]:
        """Yield the places to escape: the first character of what goes on, and of what begins, a special token."""
        sizes = range(1, min(self._longest, len(text) + 1))
        if any(text[:size] in self._ends for size in sizes) or (
            len(text) < self._longest and any(text in spelling for spelling in self.spellings if text)
        ):
            yield 0
        yield from (len(text) - size for size in sizes if text[-size:] in self._beginnings)

    def parts(self, formatted: str) -> list[Part]:
        """Cut formatted text into special tokens and ordinary text, which has its escapes taken away."""
        parts: list[Part] = []
        ordinary: list[str] = []
        end = 0
        for match in self._special_or_escaped.finditer(formatted):
            ordinary.append(formatted[end : match.start()])
            end = match.end()
            if match["ordinary"] is not None:
                ordinary.append(match["ordinary"])
                continue
            parts += [Part("".join(ordinary), False), Part(match[0], True)]
            ordinary = []
        parts.append(Part("".join([*ordinary, formatted[end:]]), False))
        return [part for part in parts if part.text]

    def plain(self, formatted: str) -> str:
        """Return formatted text as a person reads it: without escapes."""
        return "".join(part.text for part in self.parts(formatted)) if ESCAPE in formatted else formatted

    def spelled(self, text: str) -> set[str]:
        """Return the special tokens that a row's text spells."""
        return set(self._spelled.findall(text))

    def written(self, texts: Sequence[str], write: Callable[[Callable[[str], str]], list[str]]) -> list[str]:
        """Return the formatted texts that `write` makes; it is given the function that escapes a row's text.

        `texts` are those it escapes. Where one of them touches on a special token, and that makes a difference in what
        has been written, its edges are escaped too. Raises `ValueError` where escapes get lost on the way.
        """
        written = write(self.escaped)
        if any(map(self.touches_edge, texts)):
            guarded = write(lambda text: self.escaped(text, edges=True))
            if [self.parts(text) for text in written] != [self.parts(text) for text in guarded]:
                written = guarded
        if any(map(self._spelled.search, texts)):
            harmless = write(lambda text: self.escaped(self._first_characters.sub(HARMLESS, text), edges=True))
            if [self._structure(text) for text in written] != [self._structure(text) for text in harmless]:
                raise ValueError("it changes a text that spells a special token, which might then become one")
        return written

    def _structure(self, formatted: str) -> list[str]:
        return [part.text for part in self.parts(formatted) if part.special]


NO_ESCAPES = Escapes(())
