"""From tokens to text while an answer is being written: only what no later token can change is let out.

token      text so far      let out     why the rest waits
`Hel`      Hel              Hel
`lo\\n`     Hello\\n          lo          white space, which does not count if nothing follows
`\\xe4`     Hello\\n?         -           a third of a character
`###`      Hello\\n\\u4f60###  \\n\\u4f60      may be the beginning of a stop string
"""

from collections.abc import Sequence

from reprotune.dataset.tokenizers.encoding import Tokenizer

BROKEN = "\ufffd"
"""Half a character, as a tokenizer decodes it."""
MOST_WAITING = 16
"""Tokens that may wait for the rest of a character, of which a real one needs 4; more are no text."""


class Decoded:
    """Tokens as text; an incomplete character waits for the rest of it.

    A piece is decoded together with the one before, because some tokenizers write a token at the beginning of a text
    differently.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._before = 0
        """How many of the ids are let out."""

    def add(self, token: int) -> str:
        """Return the text that a token completes."""
        self._ids.append(token)
        waiting = len(self._ids) - self._before
        text = self._pending()
        return "" if text.endswith(BROKEN) and waiting < MOST_WAITING else self._let_out(text)

    def end(self) -> str:
        """Return what still waits."""
        return self._let_out(self._pending())

    def _pending(self) -> str:
        known = self._tokenizer.decode(self._ids[: self._before])
        return self._tokenizer.decode(self._ids)[len(known) :]

    def _let_out(self, text: str) -> str:
        self._ids = self._ids[self._before :]
        self._before = len(self._ids)
        return text


class Stopped:
    """Text up to the first of some stop strings; `hit` once there was one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False

    def add(self, text: str) -> str:
        """Return what is certain to come before any stop string."""
        if self.hit:
            return ""
        self._held += text
        found = [place for place in map(self._held.find, self._stops) if place >= 0]
        if found:
            self.hit = True
            return self._held[: min(found)]
        kept = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        let_out, self._held = self._held[: len(self._held) - kept], self._held[len(self._held) - kept :]
        return let_out

    def end(self) -> str:
        """Return what still waits."""
        return "" if self.hit else self._held


class Answer:
    """Text as `generation.decoding.answer_text` leaves it: without the template's header, stripped."""

    def __init__(self, header: str) -> None:
        self._marker = header.strip()
        self._unsearched = ""
        self._held = ""
        """Free of markers, but perhaps white space at the end."""
        self._begun = False

    def add(self, text: str) -> str:
        """Return what is certain to be part of the answer."""
        *pieces, rest = (self._unsearched + text).split(self._marker) if self._marker else [text]
        kept = _overlap(rest, self._marker)
        self._unsearched = rest[len(rest) - kept :]
        return self._certain("".join([*pieces, rest[: len(rest) - kept]]))

    def end(self) -> str:
        """Return what still waits and counts."""
        return self._certain(self._unsearched)

    def _certain(self, text: str) -> str:
        found = self._held + text if self._begun else (self._held + text).lstrip()
        certain = found.rstrip()
        self._begun |= bool(certain)
        self._held = found[len(certain) :]
        return certain


class Transcript:
    """All of it in a row: tokens in, certain text out."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str], header: str | None) -> None:
        """`header` is that of the template, None for text that is left as it is."""
        self._decoded, self._stopped = Decoded(tokenizer), Stopped(stops)
        self._answer = None if header is None else Answer(header)

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._stopped.hit

    def add(self, token: int) -> str:
        """Return the text that a token makes certain."""
        return self._cleaned(self._stopped.add(self._decoded.add(token)))

    def end(self) -> str:
        """Return the rest, once no token follows."""
        rest = self._cleaned(self._stopped.add(self._decoded.end()) + self._stopped.end())
        return rest if self._answer is None else rest + self._answer.end()

    def _cleaned(self, text: str) -> str:
        return text if self._answer is None else self._answer.add(text)


def _overlap(text: str, marker: str) -> int:
    """Return how many characters at the end of a text are the beginning of a marker, but not all of it."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if marker.startswith(text[-size:])), 0)
