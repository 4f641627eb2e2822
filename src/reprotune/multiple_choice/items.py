"""From the rows of a benchmark to its items: checked, identified by content, nothing dropped silently."""

from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from reprotune.artifacts import REJECTED, table_writer
from reprotune.console import counted, progress_bar
from reprotune.dataset.sources import fields
from reprotune.dataset.sources.fields import UnusableError
from reprotune.dataset.sources.limits import MOST_COLUMNS
from reprotune.dataset.sources.readers import NameColumns, SourceRow, Unreadable, read_rows
from reprotune.dataset.sources.records import content_hash, numbered
from reprotune.errors import UserError
from reprotune.multiple_choice.contracts import ITEM, ITEMS, SHOT
from reprotune.multiple_choice.preparation import HELLASWAG_COLUMNS, PREPARATIONS
from reprotune.multiple_choice.rows import MOST_CHARS, read_answer, read_choices
from reprotune.multiple_choice.sources import KEY, ItemFile, item_files
from reprotune.multiple_choice.subjects import GROUPS
from reprotune.params.sections.benchmark import BenchmarkSourceParams, ItemColumns
from reprotune.untrusted import clipped

SHOWN_NAMES, SHOWN_REASONS, SHOWN_CHARS = 20, 3, 200
CONVENTION = "lm-eval"
"""Whose groups of MMLU's subjects are written; `subjects.GROUPS` has the others."""
QUESTION, ANSWER, CHOICE = "question", "answer", "choice"
"""Columns of files without a header; the choices are numbered."""
FEWEST_FIELDS = 4

Rows = list[dict[str, Any]]


def collect_items(params: BenchmarkSourceParams, folder: Path) -> dict[str, Any]:
    """Write items.parquet and rejected.parquet into `folder`, and return the counts for summary.json.

    Raises `UserError` if the source cannot be had, has no item or example where one is wanted, or too many unusable
    rows. Without a source there are no items.
    """
    reader = ItemReader(params)
    with (
        table_writer(folder / "items.parquet", ITEMS) as items,
        table_writer(folder / "rejected.parquet", REJECTED) as rejected,
    ):
        if params.rows is None:
            return reader.summary()
        with item_files(params, params.rows) as found, progress_bar("reading", unit=" rows") as bar:
            for file in found.files:
                reader.begin_file(file)
                for batch in read_rows(file.path, file.name, file.format, reader.needed(), KEY, reader.named):
                    usable, unusable = reader.read(batch)
                    items.write_rows(usable)
                    rejected.write_rows(unusable)
                    bar.update(len(batch))
            reader.check()
            return reader.summary() | {"sha256": found.sha256}


class ItemReader:
    """Turns the rows of one file after another into items and rejected rows.

    Texts are kept as they are, blanks at their ends included, unless `preparation` says otherwise.
    """

    def __init__(self, params: BenchmarkSourceParams) -> None:
        self.params = params
        self.columns = params.columns
        self.rows = self.other_splits = self.equal_choices = 0
        self.roles: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.options: Counter[int] = Counter()
        self.subjects: dict[str, None] = {}
        self._file: ItemFile | None = None
        self._file_start = 0
        self._headless = False
        self._first_rejected = ""
        self._seen: dict[str, None] = {}  # every column, in order
        self._copies: Counter[str] = Counter()

    def begin_file(self, file: ItemFile) -> None:
        """Note that the rows from here on are those of another file."""
        self._file, self._file_start, self._headless = file, self.rows, False
        self.columns = self.params.columns

    def needed(self) -> list[str]:
        """Return the columns that may be read."""
        choices = self.columns.choices
        others = [getattr(self.columns, key) for key in ItemColumns.model_fields]
        parts = [name.strip() for name in choices.split(",")]
        return [*others, *parts, *(HELLASWAG_COLUMNS if self.params.preparation == "hellaswag" else ())]

    @property
    def named(self) -> NameColumns | None:
        """Names the columns of a file as Hendrycks et al. publish them; None for any other."""
        return self._name_columns if self._file is not None and self._file.subject is not None else None

    def _name_columns(self, first: list[str]) -> list[str] | None:
        if {self.columns.question, self.columns.answer} <= set(first):
            return None
        if len(first) < FEWEST_FIELDS:
            raise UserError(
                f"{self._name}: the first row has {counted(len(first), 'field')}, but by its name it is a file without "
                "a header, of question, choices and answer: write them, or rename it"
            )
        choices = [f"{CHOICE} {number}" for number in range(1, len(first) - 1)]
        self.columns = ItemColumns(question=QUESTION, choices=",".join(choices), answer=ANSWER)
        self._headless = True
        return [QUESTION, *choices, ANSWER]

    def read(self, batch: list[SourceRow]) -> tuple[Rows, Rows]:
        """Return the batch's (items, rejected rows) for the schemas `ITEMS` and `REJECTED`."""
        items: Rows = []
        rejected: Rows = []
        for row in batch:
            source_row = self.rows
            self.rows += 1
            try:
                role = self._role(row)
                if role is None:
                    self.other_splits += 1
                    continue
                item = self._item(self._readable(row))
            except UnusableError as fault:
                self._reject(rejected, source_row, row, fault)
                continue
            items.append(item | {"role": role, "source_row": source_row})
            self.roles[role] += 1
            self.options[len(item["choices"])] += 1
            self.subjects[item["subject"]] = None
            self.equal_choices += len(set(item["choices"])) < len(item["choices"])
        return items, rejected

    def _role(self, row: SourceRow) -> str | None:
        """Return whether a row is an item or an example; None for one of another split."""
        by_name = self._file.role if self._file else "by row"
        value = None if self._headless or isinstance(row, Unreadable) else row.get(self.columns.split)
        if not isinstance(value, str) or by_name in (ITEM, SHOT):
            return ITEM if by_name == "by row" else None if by_name == "other" else by_name
        if value == self.params.shots_split:
            return SHOT
        return ITEM if self.params.split in (None, value) else None

    def _readable(self, row: SourceRow) -> dict[str, Any]:
        if isinstance(row, Unreadable):
            raise UnusableError(row.reason)
        if not self._headless and not self._seen.keys() >= row.keys():
            self._seen.update(dict.fromkeys(row))
            if len(self._seen) > MOST_COLUMNS:
                raise UserError(
                    f"{self._name}: the rows have more than {MOST_COLUMNS:,} different keys, which is the limit: keep "
                    "those that are needed"
                )
        return row

    def _item(self, row: dict[str, Any]) -> dict[str, Any]:
        columns, prepare = self.columns, PREPARATIONS.get(self.params.preparation)
        choices, labels = read_choices(row, columns.choices)
        answer = read_answer(row.get(columns.answer), choices, labels, letters_only=self._headless)
        if prepare is None:
            question = fields.required_text(row, "question", columns.question, MOST_CHARS)
        else:
            question, choices = prepare(row, choices)
            if not all(choices):
                raise UnusableError("a choice is empty once its marks are removed")
        context = None if self._headless else fields.text(row, "context", columns.context, MOST_CHARS) or None
        subject = self._subject(row)
        digest = content_hash([subject, context or "", question, *choices], None)
        return {
            "id": numbered(digest, self._copies),
            "task": self.params.task,
            "subject": subject,
            "group": GROUPS[subject][0] if subject in GROUPS else None,
            "context": context,
            "question": question,
            "choices": choices,
            "answer": answer,
        }

    def _subject(self, row: dict[str, Any]) -> str:
        if self._file is not None and self._headless and self._file.subject is not None:
            return self._file.subject
        found = fields.category(row, self.columns.subject, MOST_CHARS)
        return found or (self._file.subject if self._file else None) or self.params.task

    @property
    def _name(self) -> str:
        return self._file.name if self._file else str(self.params.source)

    def _reject(self, rejected: Rows, source_row: int, row: SourceRow, fault: UnusableError) -> None:
        within = row.place if isinstance(row, Unreadable) else ""
        counting = f"counting from 0{f', {within}' if within else ''}"
        place = f"row {source_row - self._file_start} of {self._name} ({counting})"
        self._first_rejected = self._first_rejected or place
        self.reasons[str(fault)] += 1
        reason = f"{fault} ({within})" if within else str(fault)
        rejected.append({"source_row": source_row, "reason": reason, "raw": fields.raw(row)})

    def check(self) -> None:
        """Raise `UserError` where a column is in no row, where there are no items or examples, or few usable rows."""
        self._check_columns()
        unusable, source = self.reasons.total(), self.params.source
        if unusable > self.params.max_rejected_fraction * (self.rows - self.other_splits) or (
            unusable and not self.roles[ITEM]
        ):
            most = self.reasons.most_common(SHOWN_REASONS)
            reasons = "; ".join(f"{reason} ({counted(count, 'row')})" for reason, count in most)
            raise UserError(
                f"{source}: {unusable} of {counted(self.rows, 'row')} are unusable, the first is "
                f"{self._first_rejected}: {reasons}: fix the rows, or check {KEY}.columns and max_rejected_fraction"
            )
        if not self.roles[ITEM]:
            wanted = f" of the split {self.params.split!r}" if self.params.split else ""
            raise UserError(
                f"{source} has no item{wanted} in {counted(self.rows, 'row')}: check {KEY}.split and source"
            )
        if self.params.shots_split and not self.roles[SHOT]:
            raise UserError(
                f"{source} has no row of the split {self.params.shots_split!r}: set {KEY}.shots_split to the one whose "
                "rows are the examples, or to null"
            )

    def _check_columns(self) -> None:
        if not self._seen:
            return
        needed = ["answer"] if self.params.preparation != "none" else ["question", "answer"]
        wanted = {key: [getattr(self.params.columns, key)] for key in needed}
        choices = self.params.columns.choices
        wanted["choices"] = [choices] if choices in self._seen else [name.strip() for name in choices.split(",")]
        for key, names in wanted.items():
            for column in names:
                if column not in self._seen:
                    alike = get_close_matches(column, [name for name in self._seen if len(name) <= SHOWN_CHARS], n=1)
                    meant = f" (did you mean {clipped(alike[0], SHOWN_CHARS)!r}?)" if alike else ""
                    there = ", ".join(repr(clipped(name, SHOWN_CHARS)) for name in list(self._seen)[:SHOWN_NAMES])
                    raise UserError(
                        f"{self.params.source} has no column {column!r}{meant}, only {there}: set {KEY}.columns.{key} "
                        "to the right one"
                    )

    def summary(self) -> dict[str, Any]:
        """Return the counts; `options` says how many items have how many choices."""
        known = any(subject in GROUPS for subject in self.subjects)
        return {
            "rows": self.rows,
            "items": self.roles[ITEM],
            "shots": self.roles[SHOT],
            "other_splits": self.other_splits,
            "rejected": self.reasons.total(),
            "reasons": dict(self.reasons),
            "subjects": len(self.subjects),
            "options": {str(count): self.options[count] for count in sorted(self.options)},
            "repeated": self._copies.total() - len(self._copies),
            "equal_choices": self.equal_choices,
            "groups": CONVENTION if known else None,
        }
