"""How large a dataset's rows and files may be: limits far above any honest file, so that reading always ends.

A file of a few megabytes can unfold to as many gigabytes, in one line or in none; a closing quote that is missing makes
one row of all that follows.
"""

import gzip
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader

from reprotune.errors import UserError
from reprotune.files import UTF8_BOM, size_words

OpenFile = BufferedReader | gzip.GzipFile

BATCH_ROWS = 4096
BATCH_BYTES = 32 << 20
"""Rows are handed on in batches of about this size at most, since it is a batch that memory holds."""
MOST_ROW_BYTES = 16 << 20
"""Longest row: a thousand times the longest text that a model reads."""
MOST_JSON_BYTES = 128 << 20
"""Largest JSON document, which unlike all other kinds is read as a whole."""
MOST_COLUMNS = 1000
MOST_BLANK_LINES = 1_000_000
"""Longest run of blank lines, which are not rows."""
UNPACKED_BYTES, UNPACKED_TIMES = 64 << 20, 250
"""A packed file, which is what gzip or Parquet has written, may not have more than so many bytes and more than so many
times its own size: text has not, and what has could be without an end."""
PACKED_ROWS = 100_000
"""A packed file of more rows has at least a byte for each: rows take time, however short they are."""
LOOK = "look at what is in it, and save it as plain JSON Lines if that is right"


class Meter:
    """Counts what is read, and stops where a row or an unpacked file is larger than any honest one."""

    def __init__(self, name: str, stored: int | None) -> None:
        """Begin with nothing; `stored` is the size of a packed file, null of any other."""
        self._name, self._stored = name, stored
        self._bytes = self._row_bytes = self.batch_bytes = 0
        self._rows = self._line = self._blank_lines = 0

    def lines(self, file: OpenFile) -> Iterator[str]:
        """Yield decoded lines with their ends; raises `UserError` naming the line and byte that are not UTF-8."""
        while line := file.readline(MOST_ROW_BYTES + 1):
            self._line += 1
            self.add(len(line))
            self._blank_lines = self._blank_lines + 1 if len(line) <= 2 and line.isspace() else 0
            if self._blank_lines > MOST_BLANK_LINES:
                raise UserError(
                    f"{self._name}: more than {MOST_BLANK_LINES:,} blank lines in a row end in line {self._line}, and "
                    "that is the limit: take them out"
                )
            try:
                yield (line.removeprefix(UTF8_BOM) if self._line == 1 else line).decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{self._name}: line {self._line} is not UTF-8 (byte {error.start + 1} of the line): save the file "
                    "as UTF-8"
                ) from error

    def add(self, size: int) -> None:
        """Count the bytes of a part of a row."""
        self._bytes += size
        self._row_bytes += size
        if self._row_bytes > MOST_ROW_BYTES:
            raise UserError(
                f"{self._name}: the row that ends in line {self._line} or later has more than "
                f"{size_words(MOST_ROW_BYTES)}, which is the limit: look for a missing line break or closing quote"
            )
        self.check_unpacked(self._bytes)

    def check_unpacked(self, size: int) -> None:
        """Raise `UserError` if a packed file turns out to have `size` bytes or more, which is too much."""
        if self._stored is not None and size > max(UNPACKED_BYTES, UNPACKED_TIMES * self._stored):
            raise UserError(
                f"{self._name} unfolds to more than {UNPACKED_TIMES} times its size, which is the limit: {LOOK}"
            )

    def check_rows(self, rows: int) -> None:
        """Raise `UserError` if a packed file turns out to have `rows` rows or more, which is too many."""
        if self._stored is not None and rows > max(PACKED_ROWS, self._stored):
            raise UserError(
                f"{self._name} unfolds to more than {PACKED_ROWS:,} rows of less than a byte each, which is the limit: "
                f"{LOOK}"
            )

    def check_row(self, size: int) -> None:
        """Raise `UserError` if a row of `size` bytes is too long."""
        if size > MOST_ROW_BYTES:
            raise UserError(
                f"{self._name}: a row has more than {size_words(MOST_ROW_BYTES)}, which is the limit: shorten it"
            )

    def end_row(self) -> None:
        """Count what follows to the next row."""
        self.batch_bytes += self._row_bytes
        self._row_bytes = 0
        self._rows += 1
        self.check_rows(self._rows)

    def add_values(self, size: int) -> None:
        """Count the bytes of a row, or of several, whose values have lengths of their own."""
        self._bytes += size
        self.batch_bytes += size
        self.check_unpacked(self._bytes)


def checked_header(names: list[str], name: str) -> list[str]:
    """Return the names of the columns; raises `UserError` where one occurs twice, or there are too many."""
    if len(names) > MOST_COLUMNS:
        raise UserError(
            f"{name} has {len(names):,} columns, and {MOST_COLUMNS:,} is the limit: keep those that are needed"
        )
    repeated = sorted(column for column, count in Counter(names).items() if count > 1)
    if repeated:
        raise UserError(f"{name}: column {repeated[0]!r} occurs twice in the header: give each column its own name")
    return names
