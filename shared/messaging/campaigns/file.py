"""A campaign's recipients as a CSV file: one header line, then a line for each customer.

Owns what such a file may look like and how its faults are told, by line. Read twice, never held in memory:
once to check all of it, once to take it over.
"""

import csv
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TextIO

from pydantic import TypeAdapter, ValidationError

from shared.errors import WabusError
from shared.messaging.campaigns.recipients import Row
from shared.payloads.fields import CustomerId

if TYPE_CHECKING:
    from _csv import Reader

#: The column that holds the customer: the first of these that is there.
_ADDRESS_COLUMNS: Final = ("wa_id", "phone")
_SEPARATORS: Final = ",;\t"
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"?')
#: The first line by which Excel is told the separator.
_SEPARATOR_LINE: Final = re.compile(r"sep=[,;\t]\s*", re.IGNORECASE)
#: Marks that show nothing and come along when a number is copied: direction, width, order of bytes.
_INVISIBLE: Final = re.compile("[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")
#: A phone as people write it; `(0)` behind a country code is not dialled from abroad.
_WRITTEN_PHONE: Final = re.compile("[+(]{0,2}[0-9][0-9\\s().\\-\u2010-\u2015\u2212/]*")
_TRUNK_ZERO: Final = re.compile(r"(?<=[0-9])\s*\(0\)")
_EXPONENT: Final = re.compile(r"[0-9][.,][0-9]+[eE]\+[0-9]+")
_ADDRESS: Final = TypeAdapter[str](CustomerId)
_PROBLEMS_KEPT: Final = 1000
#: Of one record, over all its lines: a file without an end of line is none, however large.
_RECORD_CHARACTERS: Final = 1024 * 1024


class FileError(WabusError):
    """The file cannot be used; the text names the line where there is one."""


@dataclass(frozen=True, slots=True)
class ListedCustomer:
    """A customer, on this line of the file, and their variables by column."""

    number: int
    wa_id: str
    variables: dict[str, str] | None


class _RecordReader:
    """The lines of a file for `csv`; what is no text, or too long a record, raises FileError.

    `taken`: characters of this record.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path = path
        self._file = file
        self.taken = 0
        self._number = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        self._number += 1
        try:
            line = self._file.readline(_RECORD_CHARACTERS + 1)
        except UnicodeError:  # text is decoded in blocks: this is where reading had got to
            name = "UTF-16" if self._file.encoding == "utf-16" else "UTF-8"
            raise FileError(f"{self._path}: not {name} text, on line {self._number} or after it") from None
        self.taken += len(line)
        if self.taken > _RECORD_CHARACTERS:
            raise FileError(f"{self._path}: a record of more than {_RECORD_CHARACTERS} characters")
        if not line:
            raise StopIteration
        return line

    def rewind(self) -> None:
        """Begin again."""
        self._file.seek(0)
        self.taken = self._number = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong on a line of the file, and what stands there."""

    line: int
    error: str
    cells: tuple[str, ...] = field(default=(), repr=False, compare=False)


@dataclass(slots=True)
class Checked:
    """What a file holds. `problems` are the first of `problem_count`; a duplicate's first line counts."""

    columns: list[str]
    recipients: int = 0
    duplicates: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0

    def is_usable(self, *, skip_invalid: bool) -> bool:
        """Whether it names somebody, and no line is wrong unless such lines are skipped."""
        return self.recipients > 0 and (skip_invalid or not self.problem_count)


def read_columns(path: Path) -> list[str]:
    """Names of the variables' columns. Raises FileError."""
    with _open(path) as file:
        names, address = _read_header(path, _reader(_RecordReader(path, file)))
    return [name for name in names if name != address]


def read_header_row(path: Path) -> list[str]:
    """Names of all columns, as they come. Raises FileError."""
    with _open(path) as file:
        return _read_header(path, _reader(_RecordReader(path, file)))[0]


def check_file(path: Path, refused: Callable[[Problem], None] = lambda _: None) -> Checked:
    """Read all of it; `refused` is told each line that is wrong.

    Raises FileError only where it is no such file at all.
    """
    checked = Checked(read_columns(path))
    seen: set[str] = set()
    for item in _read(path):
        if isinstance(item, Problem):
            checked.problem_count += 1
            refused(item)
            if len(checked.problems) < _PROBLEMS_KEPT:
                checked.problems.append(item)
        elif item.wa_id in seen:
            checked.duplicates.append(item.number)
        else:
            seen.add(item.wa_id)
    checked.recipients = len(seen)
    return checked


def read_rows(path: Path, *, skip_invalid: bool = False) -> Iterator[Row]:
    """Each customer once, with their variables.

    At a line that is wrong it raises FileError, or goes on where such lines are to be skipped.
    """
    for line in read_lines(path, skip_invalid=skip_invalid):
        yield line.wa_id, line.variables


def read_lines(path: Path, *, skip_invalid: bool = False) -> Iterator[ListedCustomer]:
    """`read_rows` with the numbers of the lines."""
    seen: set[str] = set()
    for item in _read(path):
        if isinstance(item, Problem):
            if not skip_invalid:
                raise FileError(f"{path}: line {item.line}: {item.error}")
        elif item.wa_id not in seen:
            seen.add(item.wa_id)
            yield item


def _read(path: Path) -> Iterator[ListedCustomer | Problem]:
    with _open(path) as file:
        lines = _RecordReader(path, file)
        reader = _reader(lines)
        names, address = _read_header(path, reader)
        while True:
            number = reader.line_num + 1
            lines.taken = 0
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Problem(number, f"not CSV: {error}")
                continue
            if cells is None:
                return
            if any(_is_filled(cell) for cell in cells):
                yield _read_line(number, names, address, cells)


def _read_line(number: int, names: list[str], address: str, cells: list[str]) -> ListedCustomer | Problem:
    if len(cells) != len(names):
        return Problem(number, f"{len(cells)} fields, where the header has {len(names)}", tuple(cells))
    if any("\0" in cell for cell in cells):
        return Problem(number, "a NUL character", tuple(cells))
    values = dict(zip(names, cells, strict=True))
    written = values.pop(address)
    if _EXPONENT.fullmatch(written.strip()):
        error = f"{address}: the spreadsheet has rounded the number: format the column as text"
        return Problem(number, error, tuple(cells))
    try:
        wa_id = _ADDRESS.validate_python(read_address(written))
    except ValidationError as invalid:
        rule = invalid.errors()[0]["msg"].removeprefix("Value error, ")
        return Problem(number, f"{address}: {rule}", tuple(cells))
    return ListedCustomer(number, wa_id, values or None)


def read_address(written: str) -> str:
    """A customer's address as a payload has it: a phone without blanks, brackets, dashes and invisible marks.

    What is no phone stays as it is.
    """
    text = _visible(written)
    if _WRITTEN_PHONE.fullmatch(text) is None:
        return text
    if text.startswith(("+", "00")):
        text = _TRUNK_ZERO.sub("", text)
    return re.sub(r"[^+0-9]", "", text)


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text).strip()


def _is_filled(cell: str) -> bool:
    return bool(_visible(cell))


def _read_header(path: Path, reader: "Reader") -> tuple[list[str], str]:
    try:
        names = [_visible(name) for name in _first_row(reader)]
    except csv.Error:
        names = []
    address = next((name for name in _ADDRESS_COLUMNS if name in names), None)
    if address is None:
        raise FileError(f"{path}: the first line must name the columns, one of them wa_id or phone")
    if not all(names) or len(set(names)) < len(names):
        raise FileError(f"{path}: every column needs a name of its own, got {', '.join(names)!r}")
    return names, address


def _first_row(reader: "Reader") -> list[str]:
    """The first that is not blank and names no separator."""
    for cells in reader:
        named = len(cells) > 0 and _SEPARATOR_LINE.match(f"{cells[0]};") is not None
        if not named and any(_is_filled(cell) for cell in cells):
            return cells
    return []


def _open(path: Path) -> TextIO:
    """Excel's "Unicode text" is UTF-16 and says so by its first bytes; all else is UTF-8."""
    try:
        with path.open("rb") as file:
            is_wide = file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE)
        return path.open(encoding="utf-16" if is_wide else "utf-8-sig", newline="")
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from None


def _reader(lines: _RecordReader) -> "Reader":
    """Spreadsheets separate by comma, semicolon or tab: the header says by which, outside of its quotes."""
    header = next((line for line in lines if line.strip(_SEPARATORS + " \r\n")), "")
    if _SEPARATOR_LINE.fullmatch(header):
        separator = header[len("sep=")]
    else:
        separator = max(_SEPARATORS, key=_QUOTED.sub("", header).count)
    lines.rewind()
    return csv.reader(lines, delimiter=separator, strict=True)
