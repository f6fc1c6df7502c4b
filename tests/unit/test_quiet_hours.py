"""Quiet hours against an oracle that asks the wall clock minute by minute, over every change of clocks."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.notices.hours import QuietHours, first_awake, is_quiet, next_quiet
from shared.commerce.notices.zones import country_of, read_zone, zones_of_phone

MINUTE = timedelta(minutes=1)
#: Half an hour of Lord Howe, Ramadan of Casablanca, gaps at midnight of Beirut.
SAMPLED = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Beirut")
OTHERS = (
    "Europe/London",
    "Europe/Dublin",
    "Europe/Lisbon",
    "Europe/Athens",
    "Europe/Moscow",
    "Europe/Chisinau",
    "Atlantic/Azores",
    "America/Nuuk",
    "America/St_Johns",
    "America/Halifax",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Havana",
    "America/Santiago",
    "America/Asuncion",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
    "America/Mexico_City",
    "America/Bogota",
    "Pacific/Apia",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Easter",
    "Pacific/Kiritimati",
    "Australia/Sydney",
    "Australia/Adelaide",
    "Asia/Jerusalem",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
)
QUIET = [QuietHours.read(text) for text in ("22:00-08:00", "02:15-02:45", "23:30-00:30", "03:00-02:00")]
BERLIN = ZoneInfo("Europe/Berlin")


def zone_of(name: str) -> ZoneInfo:
    zone = read_zone(name)
    assert zone is not None
    return zone


def changes(zone: ZoneInfo, first: int = 2020, last: int = 2030) -> Iterator[datetime]:
    """The first whole minute after each change of clocks."""
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    while at < end:
        after = at + timedelta(days=1)
        if at.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            minute = at
            while minute.astimezone(zone).utcoffset() == at.astimezone(zone).utcoffset():
                minute += MINUTE
            yield minute
        at = after


def asks_the_wall_clock(at: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours) -> bool:
    start, end = (item.hour * 60 + item.minute for item in (quiet.start, quiet.end))
    walls = [at.astimezone(zone) for zone in zones]
    return any((wall.hour * 60 + wall.minute - start) % 1440 < (end - start) % 1440 for wall in walls)


def check_around(change: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours, step: int) -> None:
    """Every `step`-th minute of two days around: what is found is the first minute outside, or inside."""
    minutes = [change + MINUTE * offset for offset in range(-1441, 4 * 1440)]
    asleep = [asks_the_wall_clock(minute, zones, quiet) for minute in minutes]
    for place in range(0, 2 * 1440, step):
        at = minutes[place]
        assert is_quiet(at, zones, quiet) is asleep[place]
        awake_at = first_awake(at, zones, quiet, zones[0])
        assert awake_at == next(
            m for m, is_inside in zip(minutes[place:], asleep[place:], strict=True) if not is_inside
        )
        assert next_quiet(at, zones, quiet) == next(
            m for m, is_inside in zip(minutes[place:], asleep[place:], strict=True) if is_inside
        )


@pytest.mark.parametrize("name", SAMPLED)
def test_nobody_is_woken_around_a_change_of_clocks(name: str) -> None:
    zone = zone_of(name)

    for number, change in enumerate(changes(zone, 2026, 2026)):
        check_around(change, [zone], QUIET[number % len(QUIET)], step=17)
        check_around(change, [zone], QUIET[0], step=97)


def test_nobody_is_woken_in_any_zone_of_the_list(request: pytest.FixtureRequest) -> None:
    """All changes of eleven years; in 40 zones and each minute that is long work, so by hand."""
    by_hand = request.config.getoption("--all-zones")
    names, step = ((*SAMPLED, *OTHERS), 1) if by_hand else (("Pacific/Apia",), 480)
    assert len({*SAMPLED, *OTHERS}) == 40

    for name in names:
        zone = zone_of(name)
        for change in changes(zone):
            for quiet in QUIET:
                check_around(change, [zone], quiet, step)


def test_an_end_inside_a_gap_is_the_first_instant_after_it() -> None:
    quiet = QuietHours.read("22:00-02:30")  # Berlin's clocks go from 02:00 to 03:00

    woken = first_awake(datetime(2026, 3, 28, 23, tzinfo=UTC), [BERLIN], quiet, BERLIN)

    assert woken == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert woken.astimezone(BERLIN).hour == 3


def test_an_hour_that_comes_twice_is_judged_each_time() -> None:
    quiet = QuietHours.read("22:00-02:30")  # Berlin's clocks go from 03:00 back to 02:00
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)

    assert first_awake(first - MINUTE, [BERLIN], quiet, BERLIN) == first
    assert is_quiet(second, [BERLIN], quiet)
    assert first_awake(second, [BERLIN], quiet, BERLIN) == second + timedelta(minutes=30)


def test_all_zones_of_a_phone_must_be_awake() -> None:
    zones = [zone_of("America/New_York"), zone_of("America/Los_Angeles")]

    woken = first_awake(datetime(2026, 7, 1, 12, tzinfo=UTC), zones, QUIET[0], BERLIN)

    assert woken == datetime(2026, 7, 1, 15, tzinfo=UTC)  # 08:00 in Los Angeles, 11:00 in New York


def test_the_shops_zone_alone_decides_where_no_instant_serves_all() -> None:
    zones = [zone_of("Europe/Berlin"), zone_of("Pacific/Auckland")]
    quiet = QuietHours.read("20:00-10:00")
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    shop = zone_of("America/New_York")

    assert first_awake(at, zones, quiet, shop) == first_awake(at, [shop], quiet, shop)


@given(st.integers(0, 10 * 365 * 1440), st.times())
def test_equal_ends_are_never_quiet(minutes: int, end: time) -> None:
    at, quiet = datetime(2020, 1, 1, tzinfo=UTC) + MINUTE * minutes, QuietHours(end, end)

    assert first_awake(at, [BERLIN], quiet, BERLIN) == at
    assert next_quiet(at, [BERLIN], quiet) is None


@pytest.mark.parametrize(
    "text", ["", "22:00", "22-08", "24:00-08:00", "22:60-08:00", "a:b-c:d", "²2:00-08:00"]
)
def test_what_is_no_two_times_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"two times of day|must be in"):
        QuietHours.read(text)


@pytest.mark.parametrize(
    ("customer", "zones", "country"),
    [
        ("491701234567", ["Europe/Berlin"], "DE"),
        ("12125550123", ["America/New_York"], "US"),
        ("79161234567", ["Europe/Moscow"], "RU"),
        ("DE.8842", [], "DE"),
        ("99999999999", [], None),
    ],
)
def test_a_phone_tells_its_zones_by_its_prefix(customer: str, zones: list[str], country: str | None) -> None:
    assert [zone.key for zone in zones_of_phone(customer)] == zones
    assert country_of(customer) == country


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../zones", "europe/berlin", "/etc/passwd"])
def test_a_zone_that_is_none_is_none(name: str) -> None:
    assert read_zone(name) is None
