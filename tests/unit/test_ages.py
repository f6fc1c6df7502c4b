"""Ages on the command line."""

from math import inf

import click
import pytest

from workers.cli.ages import describe_age, read_age

CONTEXT = click.Context(click.Command("test"))
OPTION = click.Option(["--older-than"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("2h", 7200), ("3d", 259_200), ("1.5H", 5400), (" 0s ", 0), ("5", 5)],
)
def test_an_age_is_read_in_seconds(text: str, seconds: float) -> None:
    assert read_age(CONTEXT, OPTION, text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-5m", "5 m", "5w", "1e3s", "٣m", "9999999s"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no age"):
        read_age(CONTEXT, OPTION, text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86_400 * 40, "40d"), (inf, "∞")],
)
def test_an_age_is_described_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert describe_age(seconds) == text
