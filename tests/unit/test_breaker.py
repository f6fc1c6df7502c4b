"""The breaker's rules: when it opens, whom it lets through, when it closes."""

from dataclasses import replace
from uuid import UUID

from shared.durations import DURATIONS
from shared.messaging.numbers.breaker import ApiHealth, Circuit, admit, note


def failed(*messages: int) -> list[ApiHealth]:
    return [ApiHealth(UUID(int=number), answered=False) for number in messages]


def answered(number: int = 99) -> ApiHealth:
    return ApiHealth(UUID(int=number), answered=True)


def noted(circuit: Circuit, *healths: ApiHealth) -> Circuit:
    return note(circuit, healths, DURATIONS)


CLOSED = Circuit()
OPEN = Circuit("open", failures=5)


def test_five_failures_in_a_row_of_three_messages_open_it() -> None:
    assert noted(CLOSED, *failed(1, 2, 3, 3)).state == "closed"
    assert noted(CLOSED, *failed(1, 2, 3, 3, 3)).state == "open"


def test_two_messages_alone_never_open_it() -> None:
    assert noted(CLOSED, *failed(*[1, 2] * 10)).state == "closed"
    assert noted(CLOSED, *failed(*[1, 2] * 10), *failed(3)).state == "open"


def test_an_answer_begins_the_row_anew() -> None:
    assert noted(CLOSED, *failed(1, 2, 3, 4), answered(), *failed(5, 6, 7, 8)).state == "closed"
    assert noted(CLOSED, *failed(1, 2, 3, 4), answered()) == CLOSED


def test_a_row_goes_on_over_several_looks() -> None:
    circuit = CLOSED
    for number in range(4):
        circuit = noted(circuit, *failed(number))

    assert circuit.state == "closed"
    assert noted(circuit, *failed(9)).state == "open"


def test_open_lets_nobody_through_for_half_a_minute() -> None:
    assert admit(replace(OPEN, open_for_s=29), DURATIONS) is None
    assert admit(CLOSED, DURATIONS) == CLOSED


def test_then_two_probes_go_as_leases() -> None:
    first = admit(replace(OPEN, open_for_s=30), DURATIONS)
    assert isinstance(first, Circuit)
    second = admit(first, DURATIONS)

    assert isinstance(second, Circuit)
    assert (second.state, second.probes) == ("half_open", 2)
    assert admit(replace(second, probe_lease_s=29), DURATIONS) is None


def test_probes_whose_prober_died_are_given_again() -> None:
    lapsed = Circuit("half_open", failures=5, probes=2, probe_lease_s=-1)
    again = admit(lapsed, DURATIONS)

    assert isinstance(again, Circuit)
    assert (again.probes, again.probe_lease_s) == (1, 30)


def test_an_answered_probe_closes_it_and_a_failed_one_opens_it_again() -> None:
    half_open = Circuit("half_open", failures=5, probes=1, open_for_s=40, probe_lease_s=20)
    assert noted(half_open, answered()) == CLOSED
    assert noted(half_open, *failed(1)).state == "open"
    assert noted(half_open, *failed(1)).open_for_s == 0


def test_late_answers_from_before_change_nothing_while_it_is_open() -> None:
    assert noted(OPEN, answered(), *failed(1)) == OPEN
