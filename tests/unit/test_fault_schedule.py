"""A seed's faults: the same each time, enough of them, and every kind in some of twenty."""

from random import Random

from tests.faults.catalogue import KINDS
from tests.faults.schedule import make_schedule


def _names(seed: int) -> list[str]:
    return [strike.kind.name for strike in make_schedule(seed, KINDS).strikes]


def test_a_seed_makes_the_same_schedule_each_time() -> None:
    for seed in (1, 7, 20):
        first, again = make_schedule(seed, KINDS), make_schedule(seed, KINDS)

        assert first == again
        assert [strike.kind.make(Random(strike.seed)).name for strike in first.strikes] == [
            strike.kind.make(Random(strike.seed)).name for strike in again.strikes
        ]


def test_two_seeds_make_two_schedules() -> None:
    assert make_schedule(1, KINDS) != make_schedule(2, KINDS)


def test_every_kind_of_fault_is_in_the_schedule_of_some_seed_from_1_to_20() -> None:
    drawn = {name for seed in range(1, 21) for name in _names(seed)}

    assert drawn == {kind.name for kind in KINDS}


def test_a_run_has_four_to_six_faults_with_calm_between_them() -> None:
    for seed in range(1, 101):
        schedule = make_schedule(seed, KINDS)

        assert 4 <= len(schedule.strikes) <= 6
        assert all(strike.after_s >= 2 for strike in schedule.strikes)


def test_a_fault_lasts_as_long_as_its_kind_allows() -> None:
    for seed in range(1, 21):
        for strike in make_schedule(seed, KINDS).strikes:
            least, most = strike.kind.lasts_s
            assert least <= strike.lasts_s <= most


def test_the_load_outlasts_the_faults() -> None:
    for seed in range(1, 21):
        schedule = make_schedule(seed, KINDS)

        assert schedule.load_s > sum(strike.after_s + strike.lasts_s for strike in schedule.strikes)


def test_some_runs_have_one_replica_of_each_worker_and_most_have_two() -> None:
    replicas = [make_schedule(seed, KINDS).replicas for seed in range(1, 21)]

    assert sorted(set(replicas)) == [1, 2]
    assert 2 <= replicas.count(1) <= 4


def test_a_fault_that_strikes_one_of_two_replicas_has_two() -> None:
    pairs = [kind for kind in KINDS if kind.needs_two]

    assert pairs
    assert {make_schedule(seed, pairs).replicas for seed in range(1, 21)} == {2}


def test_before_a_fault_that_must_spare_somebody_there_is_a_quiet_time() -> None:
    sparing = [kind for kind in KINDS if kind.spares]
    others = [kind for kind in KINDS if not kind.spares]

    assert make_schedule(1, sparing).quiet_s > 0
    assert make_schedule(1, others).quiet_s == 0
