"""How a page is laid out: lines of text, for any width and height. Pure.

Owns which columns and rows are left out where there is no room for all.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from workers.cli.overview.parts import BAD, FAINT, PageColumn, PageRow, PageSection, PageTable

#: From so many columns on two sections may stand side by side: which, and the share of the left ones.
_WIDE: Final = 120
_BESIDE: Final = ((0, 3), (1, 2, 4))
_LEFT: Final = 0.55
_GAP: Final = "  "
#: So much of a sentence is worth a column.
_PROSE: Final = 12
_TITLE: Final = "bold cyan"


@dataclass(frozen=True, slots=True)
class PageSize:
    """A terminal's. `height` None: there is no end to it."""

    width: int
    height: int | None = None


def lay_out(head: str, sections: Sequence[PageSection], size: PageSize) -> list[Text]:
    """The page: its head, and each section with the key that leads into it.

    Where a wide terminal is too low for all, two stand side by side.
    """
    keyed = list(enumerate(sections, start=1))
    top = _top(head, sections, size.width)
    room = None if size.height is None else size.height - len(top)
    if room is None or size.width < _WIDE or _height(sections) <= room:
        return [*top, *_stack(keyed, size.width, room)]
    width = round((size.width - len(_GAP)) * _LEFT)
    left = _stack([keyed[place] for place in _BESIDE[0]], width, room)
    right = _stack([keyed[place] for place in _BESIDE[1]], size.width - len(_GAP) - width, room)
    return [
        *top,
        *(_beside(left, right, row, width) for row in range(max(len(left), len(right)))),
    ]


def lay_out_whole(head: str, section: PageSection, size: PageSize) -> list[Text]:
    """One section with all that is known of it."""
    lines = _top(head, [section], size.width)
    table = _chosen(section.detail or section.table, lambda column: column.in_detail)
    lines += _table_lines(_titled(section), table, size.width, is_whole=True)
    if not table.rows:
        lines.append(_line(section.freshness.empty, size.width, FAINT))
    lines.append(Text())
    for note in section.notes:
        lines += [_line(part, size.width, FAINT) for part in wrap(note, size.width)]
    return lines


def _height(sections: Sequence[PageSection]) -> int:
    """Lines of all of it, one below the other."""
    return sum(1 + max(1, len(section.table.rows)) for section in sections)


def _stack(keyed: Sequence[tuple[int, PageSection]], width: int, height: int | None) -> list[Text]:
    """One below the other; each has its title's line, and what is left of the height is shared."""
    rooms = [max(1, len(section.table.rows)) for _, section in keyed]
    if height is not None:
        rooms = share_rows(rooms, height - len(keyed))
    lines: list[Text] = []
    for (key, section), room in zip(keyed, rooms, strict=True):
        rows = _pressing(section.table.rows, room)
        left_out = len(section.table.rows) - len(rows)
        more = f" (+{left_out})" if left_out else ""
        table = _chosen(PageTable(section.table.columns, rows), lambda column: column.on_page)
        lines += _table_lines(f"{key} {_titled(section)}{more}", table, width, is_whole=False)
        if room and not rows:
            lines.append(_line(section.freshness.empty, width, FAINT))
    return lines


def _beside(left: Sequence[Text], right: Sequence[Text], row: int, width: int) -> Text:
    first = left[row].copy() if row < len(left) else Text()
    first.pad_right(width - first.cell_len)
    return Text.assemble(first, _GAP, right[row] if row < len(right) else Text(), no_wrap=True)


def share_rows(wanted: Sequence[int], height: int) -> list[int]:
    """Rows for each, in turns: none gets more than it wants, all together no more than there are."""
    rooms = [0] * len(wanted)
    left = max(0, height)
    while left and rooms != list(wanted):
        for place, wish in enumerate(wanted):
            if left and rooms[place] < wish:
                rooms[place] += 1
                left -= 1
    return rooms


def _pressing(rows: Sequence[PageRow], room: int) -> list[PageRow]:
    """Those that press go first where there is no room for all; the order stays."""
    ranked = sorted(range(len(rows)), key=lambda place: not rows[place].presses)
    return [rows[place] for place in sorted(ranked[:room])]


def _top(head: str, sections: Sequence[PageSection], width: int) -> list[Text]:
    """The head, and each server that is away once."""
    troubles = dict.fromkeys(trouble for section in sections for trouble in section.freshness.troubles)
    return [_line(head, width, _TITLE), *(_line(trouble, width, BAD) for trouble in troubles)]


def _titled(section: PageSection) -> str:
    return f"{section.title}, {section.freshness.old}" if section.freshness.old else section.title


def _chosen(table: PageTable, is_shown: Callable[[PageColumn], bool]) -> PageTable:
    """The same rows in some of their columns."""
    places = [place for place, column in enumerate(table.columns) if is_shown(column)]
    return PageTable(
        tuple(table.columns[place] for place in places),
        [replace(row, cells=tuple(row.cells[place] for place in places)) for row in table.rows],
    )


def _table_lines(title: str, table: PageTable, width: int, *, is_whole: bool) -> list[Text]:
    """A line of titles, and one for each row; in the whole form with the sentences beneath it."""
    columns = (PageColumn(title), *table.columns[1:])
    widths = _fit(columns, table.rows, width)
    lines = [_row_line([column.title for column in columns], columns, widths, width, _TITLE)]
    for row in table.rows:
        lines.append(_row_line(row.cells, columns, widths, width, row.style))
        for sentence in row.beneath if is_whole else ():
            parts = wrap(sentence, width, initial_indent="    ", subsequent_indent="    ")
            lines += [_line(part, width, row.style) for part in parts]
    return lines


def _fit(columns: Sequence[PageColumn], rows: Sequence[PageRow], width: int) -> dict[int, int]:
    """The places of columns that are shown, and their widths; the lightest of the others have gone."""
    needed = {
        place: max([cell_len(column.title), *(cell_len(row.cells[place]) for row in rows)])
        for place, column in enumerate(columns)
    }
    least = {
        place: min(needed[place], max(_PROSE, cell_len(column.title))) if column.is_prose else needed[place]
        for place, column in enumerate(columns)
    }
    shown = dict(enumerate(columns))
    while len(shown) > 1 and _total(least[place] for place in shown) > width:
        del shown[min(list(shown)[1:], key=lambda place: shown[place].weight)]
    spare = width - _total(least[place] for place in shown)
    widths = {place: least[place] for place in shown}
    for place in shown:
        more = min(max(0, spare), needed[place] - widths[place])
        widths[place] += more
        spare -= more
    return {place: min(wide, width) for place, wide in widths.items()}


def _total(widths: Iterable[int]) -> int:
    listed = list(widths)
    return sum(listed) + len(_GAP) * (len(listed) - 1)


def _row_line(
    cells: Sequence[str], columns: Sequence[PageColumn], widths: dict[int, int], width: int, style: str
) -> Text:
    parts = [_cell(cells[place], wide, right=columns[place].is_right) for place, wide in widths.items()]
    return _line(_GAP.join(parts).rstrip(), width, style)


def _cell(text: str, width: int, *, right: bool) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return " " * (width - cell_len(text)) + text if right else set_cell_size(text, width)


def _line(text: str, width: int, style: str) -> Text:
    """One line that is no wider, whatever is in it."""
    return Text(_cell(text, width, right=False).rstrip(), style, no_wrap=True)
