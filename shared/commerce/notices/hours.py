"""Quiet hours: when the wall clock of a customer says that nobody is to be woken. Pure.

An instant is quiet in a zone while its wall clock is in [start, end). The set of the other instants is one of
intervals, each of which begins where the wall clock shows the end, or where the clocks are changed. So only
those instants are looked at, and each is judged by its own wall clock: an end inside a gap is the first
instant after the gap, an hour that comes twice is judged twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Self
from zoneinfo import ZoneInfo

#: How far all zones of a customer are searched together, and how far one alone.
_TOGETHER: Final = timedelta(hours=24)
_ALONE: Final = timedelta(hours=72)
#: No two changes of clocks in one zone are nearer to each other.
_STEP: Final = timedelta(hours=6)
_SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` to before `end`, by the wall clock; equal ends: never."""

    start: time
    end: time

    @classmethod
    def read(cls, text: str) -> Self:
        """Of `22:00-08:00`. Raises ValueError."""
        start, dash, end = text.partition("-")
        if not dash:
            raise ValueError("must be two times of day such as 22:00-08:00")
        return cls(_time_of_day(start), _time_of_day(end))

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def holds(self, wall: time) -> bool:
        """Whether a wall clock that shows this is inside."""
        if self.start <= self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end


def is_quiet(at: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours) -> bool:
    """Whether it is quiet in any of the zones at this instant."""
    return any(quiet.holds(at.astimezone(zone).time()) for zone in zones)


def first_awake(
    at: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours, shop: ZoneInfo
) -> datetime | None:
    """The earliest instant from `at` on that is quiet in none of the zones; `at` itself where that is.

    The shop's zone alone decides where there are none, or no instant of the next 24 h serves all of them.
    None: not within three days, where quiet hours leave next to nothing.
    """
    if zones and (found := _first(at, zones, quiet, _TOGETHER)) is not None:
        return found
    return _first(at, (shop,), quiet, _ALONE)


def next_quiet(at: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours) -> datetime | None:
    """The earliest instant from `at` on that is quiet in any of the zones; None: none within three days."""
    if quiet.start == quiet.end:
        return None
    if is_quiet(at, zones, quiet):
        return at
    for within in (_TOGETHER, _ALONE):  # mostly it is today
        instants = sorted({item for zone in zones for item in _instants(at, zone, quiet.start, within)})
        for item in instants:
            if is_quiet(item, zones, quiet):
                return item
    return None


def _first(at: datetime, zones: Sequence[ZoneInfo], quiet: QuietHours, within: timedelta) -> datetime | None:
    if not is_quiet(at, zones, quiet):
        return at
    instants = sorted({item for zone in zones for item in _instants(at, zone, quiet.end, within)})
    return next((item for item in instants if not is_quiet(item, zones, quiet)), None)


def _instants(at: datetime, zone: ZoneInfo, wall: time, within: timedelta) -> Iterator[datetime]:
    """After `at`: where the zone's wall clock shows this, each time it does, and where its clocks change."""
    last = at + within
    day: date = at.astimezone(zone).date() - timedelta(days=1)
    while day <= last.astimezone(zone).date():
        for fold in (0, 1):
            local = datetime.combine(day, wall, zone).replace(fold=fold)
            instant = local.astimezone(UTC)
            if at < instant <= last and instant.astimezone(zone).time() == wall:
                yield instant
        day += timedelta(days=1)
    yield from _changes(at, last, zone)


def _changes(at: datetime, last: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    before = at.astimezone(UTC).replace(microsecond=0)
    while before < last:
        after = min(before + _STEP, last)
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset():
            yield _change_between(before, after, zone)
        before = after


def _change_between(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _time_of_day(text: str) -> time:
    hours, colon, minutes = text.strip().partition(":")
    if not (colon and hours.isascii() and minutes.isascii() and hours.isdigit() and minutes.isdigit()):
        raise ValueError("must be two times of day such as 22:00-08:00")
    return time(int(hours), int(minutes))
