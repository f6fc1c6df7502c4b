"""The rehearsal of an upgrade and its rollback, short: `make rehearsal` holds it at production's pace."""

from collections.abc import Iterator

import pytest

from schema.migrator import load_migrations
from tests.faults.earlier import Earlier, earlier_release
from tests.faults.upgrade import rehearse


@pytest.fixture(scope="module")
def earlier() -> Iterator[Earlier]:
    with earlier_release() as found:
        yield found


def test_the_old_workers_are_those_of_the_last_release(earlier: Earlier) -> None:
    if earlier.missing:
        pytest.skip(f"not run: this tree plays the old release, too: {earlier.missing}")

    assert (earlier.tree / "workers" / "registry.py").is_file()
    assert len(load_migrations(earlier.tree / "schema" / "migrations")) == earlier.schema


@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited")  # aio-pika's, refused
def test_an_upgrade_and_its_rollback_under_load_lose_nothing_and_send_nothing_twice(earlier: Earlier) -> None:
    outcome = rehearse(earlier, print, pace="brisk", load_s=25.0, quiet_s=0.0, spares=frozenset())

    breaches = [
        f"{verdict.promise}: {violation}" for verdict in outcome.verdicts for violation in verdict.violations
    ]
    assert breaches == [], f"logs: {outcome.logs}"
    assert [fault.error for fault in outcome.injected if fault.error] == []
    assert outcome.came_to_rest, f"logs: {outcome.logs}"
    assert (outcome.lost, outcome.twice) == (0, 0)
