"""The short set: two runs of the fault rig with fixed seeds, at a pace that a test can wait for.

`make faults` has all kinds of faults, twenty seeds, production's durations, and recovery times.
"""

from dataclasses import replace

import pytest

from tests.faults.catalogue import KINDS
from tests.faults.fault import FaultKind
from tests.faults.results import Outcome
from tests.faults.rig import run_seed
from tests.faults.schedule import make_schedule

#: Long enough to be noticed, where a kind of fault may be as short.
_MOST_S = 3.0
_TWO_REPLICAS = (
    "kill -9 outbound-sender",
    "SIGSTOP inbound-resolver",
    "rabbitmq killed and started again",
    "postgres stopped and started again",
)
_SINGLE_REPLICAS = (
    "kill -9 inbound-resolver",
    "SIGTERM status-updater",
    "redis loses all data",
    "cloud api closes after accepting",
)


def _shorten(kind: FaultKind) -> FaultKind:
    least, most = kind.lasts_s
    return replace(kind, lasts_s=(least, max(least, min(most, _MOST_S))))


def _breaches(outcome: Outcome) -> list[str]:
    return [
        f"{verdict.promise}: {violation}" for verdict in outcome.verdicts for violation in verdict.violations
    ]


@pytest.mark.filterwarnings("ignore:coroutine 'Connection.close' was never awaited")  # aio-pika's, refused
@pytest.mark.parametrize(
    ("seed", "names"), [(8, _TWO_REPLICAS), (15, _SINGLE_REPLICAS)], ids=["two", "single"]
)
def test_under_faults_nothing_is_lost_and_nothing_happens_twice(seed: int, names: tuple[str, ...]) -> None:
    kinds = [_shorten(kind) for kind in KINDS if kind.name in names]
    assert len(kinds) == len(names)

    outcome = run_seed(make_schedule(seed, kinds), print, pace="brisk")

    assert _breaches(outcome) == [], f"logs: {outcome.logs}"
    assert outcome.came_to_rest, f"logs: {outcome.logs}"
    assert (outcome.lost, outcome.twice) == (0, 0)
    assert [fault.name for fault in outcome.injected if fault.not_run] == []
