"""Pauses that grow with each refusal are bounded, however many refusals came in a row."""

import pytest

from shared.coordination.permits import Ask, Wait, pair_pause_s
from shared.coordination.rate_local import LocalRates
from shared.durations import DURATIONS


@pytest.mark.parametrize(("n", "pause_s"), [(1, 4.0), (3, 64.0), (4, 256.0), (512, 256.0), (5000, 256.0)])
def test_a_customers_pause_grows_to_its_limit(n: int, pause_s: float) -> None:
    assert pair_pause_s(n, DURATIONS) == pause_s


def test_a_numbers_stop_grows_to_its_limit() -> None:
    now, wait_s = 0.0, 0.0
    rates = LocalRates(DURATIONS, clock=lambda: now)
    for _ in range(5000):
        rates.slow("1001", None)
        answer = rates.permit(Ask("1001", "491700000001", "reply", 80.0, 1.0))
        assert isinstance(answer, Wait)
        wait_s = answer.wait_s
        now += wait_s

    assert wait_s == DURATIONS.rate_backoff_max_s


def test_a_customer_is_backed_off_after_thousands_of_refusals() -> None:
    rates = LocalRates(DURATIONS, clock=lambda: 0.0)
    rates.back_off_pair("1001", "491700000001", 5000)
    answer = rates.permit(Ask("1001", "491700000001", "reply", 80.0, 1.0))

    assert isinstance(answer, Wait)
    assert answer.wait_s == DURATIONS.pair_backoff_max_s
