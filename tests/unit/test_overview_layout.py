"""How a page of `wabus top` is laid out where there is much room, and where there is little."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from shared.messaging.overview.overview import open_overview
from shared.settings.settings import Settings
from workers.cli.overview.layout import PageSize, lay_out, lay_out_whole, share_rows
from workers.cli.overview.live import LivePage, split_keys
from workers.cli.overview.parts import (
    Freshness,
    PageColumn,
    PageRow,
    PageSection,
    PageTable,
    number_column,
)

TITLES = ("queues", "workers", "numbers", "campaigns", "dead letters")
COLUMNS = (
    PageColumn("name"),
    number_column("ready"),
    PageColumn("state", 8),
    PageColumn("only in detail", 7, on_page=False),
    PageColumn("light", 1),
    PageColumn("reason", 5, is_prose=True),
)
REASON = "the platform says that it is temporarily unavailable"


def row(name: str, *, presses: bool = False) -> PageRow:
    cells = (name, "1,234,567", "consumes", "whole", "dispensable", REASON)
    return PageRow(cells, presses=presses, beneath=(f"{name} is so because {REASON}, twice {REASON}",))


def page(*rows: int, freshness: Freshness | None = None) -> list[PageSection]:
    return [
        PageSection(
            title,
            PageTable(COLUMNS, [row(f"{title} {place}") for place in range(count)]),
            freshness or Freshness(),
            ("What the columns mean.",),
        )
        for title, count in zip(TITLES, rows, strict=True)
    ]


def texts(lines: Sequence[Text]) -> list[str]:
    return [line.plain for line in lines]


@pytest.mark.parametrize("width", [80, 120])
def test_all_of_it_stands_in_one_column_where_it_is_high_enough(width: int) -> None:
    lines = texts(lay_out("head", page(2, 1, 1, 0, 1), PageSize(width, 24)))

    begins = [line.partition("  ")[0] for line in lines]
    assert begins == [
        "head",
        *("1 queues", "queues 0", "queues 1"),
        *("2 workers", "workers 0"),
        *("3 numbers", "numbers 0"),
        *("4 campaigns", "none"),
        *("5 dead letters", "dead letters 0"),
    ]
    assert max(map(len, lines)) <= width
    assert "only in detail" not in lines[1]


def test_a_wide_page_that_is_too_low_has_sections_side_by_side() -> None:
    lines = texts(lay_out("head", page(9, 6, 3, 2, 2), PageSize(120, 17)))

    assert lines[1].startswith("1 queues ")
    assert "2 workers" in lines[1]
    assert len([line for line in lines if "(+" in line]) == 0
    assert max(map(len, lines)) <= 120
    assert len(lines) <= 17


def test_where_there_is_no_room_for_all_rows_those_that_press_stay() -> None:
    sections = page(0, 6, 0, 0, 0)
    rows = [row(f"calm {place}") for place in range(20)]
    rows[17] = row("it burns", presses=True)
    sections[0] = PageSection("queues", PageTable(COLUMNS, rows), Freshness(), ())

    lines = texts(lay_out("head", sections, PageSize(80, 15)))

    assert [line.partition("  ")[0] for line in lines[:5]] == [
        "head",
        "1 queues (+17)",
        "calm 0",
        "calm 1",
        "it burns",
    ]
    assert len(lines) == 15


def test_a_narrow_page_loses_the_lightest_columns_first_and_cuts_sentences() -> None:
    heads = {
        width: texts(lay_out("head", page(1, 0, 0, 0, 0), PageSize(width)))[1].split()
        for width in (120, 80, 50, 20)
    }

    assert heads == {
        120: ["1", "queues", "ready", "state", "light", "reason"],
        80: ["1", "queues", "ready", "state", "light", "reason"],
        50: ["1", "queues", "ready", "state", "reason"],
        20: ["1", "queues", "ready"],
    }
    assert "…" in texts(lay_out("head", page(1, 0, 0, 0, 0), PageSize(80)))[2]


def test_a_server_that_is_away_is_named_once_and_old_figures_say_their_age() -> None:
    away = Freshness(("PostgreSQL is away: refused",), "12s old", "not known")

    lines = texts(lay_out("head", page(1, 0, 0, 0, 0, freshness=away), PageSize(80, 24)))

    assert lines[:2] == ["head", "PostgreSQL is away: refused"]
    assert lines[2].startswith("1 queues, 12s old ")
    assert lines.count("not known") == 4


def test_a_detail_has_each_column_that_fits_and_the_sentences_beneath() -> None:
    lines = texts(lay_out_whole("head", page(1, 0, 0, 0, 0)[0], PageSize(80)))

    assert lines[1].startswith("queues ")
    assert "only in detail" in lines[1]
    assert lines[3].startswith("    queues 0 is so because")
    assert lines[4].startswith("    ")
    assert lines[-2:] == ["", "What the columns mean."]
    assert max(map(len, lines)) <= 80


@given(st.lists(st.integers(0, 12), min_size=5, max_size=5), st.integers(1, 200), st.integers(2, 60))
def test_no_page_is_wider_or_higher_than_its_terminal(rows: list[int], width: int, height: int) -> None:
    lines = lay_out("head", page(*rows), PageSize(width, height))

    assert max(line.cell_len for line in lines) <= width
    assert len(lines) <= max(height, 1 + len(TITLES))


def test_rows_are_shared_in_turns() -> None:
    assert share_rows([9, 1, 6], 10) == [5, 1, 4]
    assert share_rows([1, 2], 100) == [1, 2]
    assert share_rows([3, 3], -1) == [0, 0]


def test_keys_are_told_apart_however_many_come_at_once() -> None:
    assert split_keys("1\x1b[Bq\x1bOA\x1b") == ["1", "\x1b[B", "q", "\x1bOA", "\x1b"]


async def test_keys_lead_into_a_section_through_it_and_back() -> None:
    settings = Settings.from_env({})
    size = PageSize(80, 6)
    async with open_overview(settings, {"scheduler": ()}) as overview:
        page = LivePage(overview, settings)

        def drawn() -> list[str]:
            return [str(line) for line in page.draw(size).renderables]

        assert drawn()[1].startswith("1 queues ")
        assert page.press("1")
        assert drawn()[1:3] == ["queues  ready  ±/s  oldest  consumers  retrying", "not asked yet"]
        for _ in range(50):
            assert page.press("\x1b[B")
        end = drawn()
        assert page.press("k")
        before_end = drawn()
        assert page.press("1")
        back = drawn()
        stays = page.press("²")
        ends = not page.press("q")

    assert end[-2].endswith("RABBITMQ_MANAGEMENT_URL names it.")
    assert before_end[2:-1] == end[1:-2]
    assert back[1].startswith("1 queues ")
    assert (stays, ends) == (True, True)
    assert {len(end), len(before_end), len(back)} == {6}
