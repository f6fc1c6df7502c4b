"""What the sandbox decides without a wire: rates, refusals by recipient, faults, the plan of statuses."""

from random import Random

import pytest

from deploy.sandbox.customers import Addressee
from deploy.sandbox.graph_errors import RequestRefused
from deploy.sandbox.ledger import AcceptedMessage, Ledger
from deploy.sandbox.platform import FaultAnswered, Platform
from deploy.sandbox.rates import PAIR_BURST, PAIR_INTERVAL_S, PairLimit, SecondWindow
from deploy.sandbox.recipients import NORMAL, Behaviour, Manner, StatusCourse, behaviour_of
from deploy.sandbox.send_request import SendRequest
from deploy.sandbox.settings import Fault, SandboxSettings, StatusDelays
from deploy.sandbox.status_plan import PlannedStatus, plan_statuses

ANA = Addressee("491700000001", "DE.8842")


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def make_request(recipient: str = "491700000001") -> SendRequest:
    return SendRequest(recipient, recipient, "text", "m:1")


def make_message() -> AcceptedMessage:
    return AcceptedMessage(
        "wamid.A", ANA.user_id, ANA, False, "1001", "text", "m:1", received_at=1_786_000_000.0
    )


def outcome_of(platform: Platform, recipient: str = "491700000001", number: str = "1001") -> int | str:
    """The code of the refusal, or `accepted`."""
    try:
        platform.admit(make_request(recipient), number)
    except RequestRefused as refused:
        return refused.error.code
    return "accepted"


def plan(settings: SandboxSettings, course: StatusCourse = StatusCourse.NORMAL, seed: int = 7) -> list[str]:
    """The statuses in the order in which they are told."""
    planned = plan_statuses(make_message(), Behaviour(statuses=course), settings, Random(seed))
    return [status.event.status for status in sorted(planned, key=lambda status: status.delay_s)]


@pytest.mark.parametrize("digits", ["000", "123", "899", "900", "922", "999"])
def test_other_last_digits_are_normal(digits: str) -> None:
    assert behaviour_of(f"4917000{digits}") is NORMAL


def test_a_business_scoped_id_is_judged_by_its_last_digits() -> None:
    assert behaviour_of("DE.88903").manner is Manner.NEVER
    assert behaviour_of("DE.88x03") is NORMAL


@pytest.mark.parametrize(
    ("digits", "outcomes"),
    [
        ("901", [131000, "accepted", "accepted"]),
        ("902", [131000, 131000, 131000]),
        ("905", [130429, "accepted", "accepted"]),
        ("906", [131047, 131047]),
        ("907", [131026, 131026]),
        ("908", [131050, 131050]),
        ("909", [131056, 131056, "accepted", "accepted"]),
        ("910", [190, 190]),
        ("911", [132001, 132001]),
        ("917", [132005, 132005]),
        ("919", [131047, 131047]),
        ("920", [130497, 130497]),
        ("921", [100, 100]),
    ],
)
def test_refusals_come_to_each_recipient_as_often_as_its_digits_say(
    digits: str, outcomes: list[int | str]
) -> None:
    platform = Platform(SandboxSettings())

    for recipient in (f"49170{digits}", f"49171{digits}"):
        assert [outcome_of(platform, recipient) for _ in outcomes] == outcomes


def test_forgetting_brings_the_first_refusal_back() -> None:
    platform = Platform(SandboxSettings())
    assert [outcome_of(platform, "49170901") for _ in range(2)] == [131000, "accepted"]

    platform.forget()

    assert outcome_of(platform, "49170901") == 131000
    assert len(platform.ledger) == 0


def test_a_number_is_limited_in_any_second_whatever_its_alignment() -> None:
    clock = Clock()
    platform = Platform(SandboxSettings(number_mps=2), clock)
    outcomes = []
    for now_s in (1000.0, 1000.9, 1000.95, 1001.05, 1001.5, 1001.95):
        clock.now_s = now_s
        outcomes.append(outcome_of(platform))

    assert outcomes == ["accepted", "accepted", 130429, "accepted", 130429, "accepted"]
    assert platform.windows["1001"].peak == 2


def test_numbers_are_limited_each_on_its_own() -> None:
    platform = Platform(SandboxSettings(number_mps=1), Clock())

    assert [outcome_of(platform, number=number) for number in ("1", "2", "1")] == [
        "accepted",
        "accepted",
        130429,
    ]


def test_the_window_tells_its_busiest_second() -> None:
    window = SecondWindow()
    for now_s in (0.0, 0.5, 0.9, 1.4, 3.0):
        window.add(now_s)

    assert window.peak == 3


def test_a_pair_has_a_burst_and_then_one_message_each_interval() -> None:
    limit, pair = PairLimit(), ("1001", "491700000001")
    for _ in range(PAIR_BURST):
        assert limit.allows(pair, 0.0)
        limit.add(pair, 0.0)

    assert not limit.allows(pair, PAIR_INTERVAL_S - 0.1)
    assert limit.allows(pair, PAIR_INTERVAL_S)
    assert limit.allows(("1001", "491700000002"), 0.0)


def test_the_pair_limit_is_off_until_it_is_set() -> None:
    free, limited = (
        Platform(SandboxSettings(), Clock()),
        Platform(SandboxSettings(pair_rate_limit=True), Clock()),
    )

    assert {outcome_of(free) for _ in range(PAIR_BURST + 1)} == {"accepted"}
    assert [outcome_of(limited) for _ in range(PAIR_BURST + 1)][-2:] == ["accepted", 131056]


def test_a_fault_of_one_number_for_two_requests_ends_after_them() -> None:
    platform = Platform(SandboxSettings(fault=Fault(code=131031, times=2, phone_number_id="1")))

    assert outcome_of(platform, number="2") == "accepted"
    assert [outcome_of(platform, number="1") for _ in range(3)] == [131031, 131031, "accepted"]


def test_a_fault_without_a_code_is_not_a_graph_error() -> None:
    platform = Platform(SandboxSettings(fault=Fault(code=None, http_status=504)))

    with pytest.raises(FaultAnswered) as answered:
        platform.admit(make_request(), "1001")

    assert answered.value.http_status == 504


def test_a_fault_may_come_after_acceptance() -> None:
    platform = Platform(SandboxSettings(fault=Fault(code=None, accepted=True)))

    admission = platform.admit(make_request(), "1001")

    assert admission.fault is not None
    assert list(platform.ledger.messages()) == [admission.message]


def test_settings_change_one_by_one() -> None:
    settings = SandboxSettings(token="t", status_delay_ms=StatusDelays(sent=1)).changed(
        {"latency_ms": 5, "status_delay_ms": {"read": None}}
    )

    assert (settings.token, settings.latency_ms) == ("t", 5)
    assert settings.status_delay_ms == StatusDelays(sent=1, read=None)


def test_the_ledger_forgets_the_oldest_beyond_its_capacity_and_counts_on() -> None:
    ledger = Ledger(capacity=2)
    accepted = [ledger.accept(make_request(), "1001", ANA, False) for _ in range(3)]

    assert list(ledger.messages()) == accepted[1:]
    assert ledger.accepted_by_number == {"1001": 3}
    assert len({message.wamid for message in accepted}) == 3


def test_statuses_come_in_order_by_default() -> None:
    assert plan(SandboxSettings()) == ["sent", "delivered", "read"]


def test_a_status_without_a_delay_is_left_out() -> None:
    assert plan(SandboxSettings(status_delay_ms=StatusDelays(delivered=None))) == ["sent", "read"]


def test_a_failing_message_has_one_status_with_its_error() -> None:
    (failed,) = plan_statuses(
        make_message(), Behaviour(statuses=StatusCourse.FAILED), SandboxSettings(), Random(1)
    )

    assert (failed.event.status, failed.event.error_code) == ("failed", 131000)


def test_reversed_statuses_are_told_backwards_and_twice_but_happened_in_order() -> None:
    settings = SandboxSettings(
        status_delay_ms=StatusDelays(sent=1000, delivered=5000, read=9000), status_jitter=0
    )

    assert plan(settings, StatusCourse.REVERSED_TWICE) == ["read", "delivered", "sent"] * 2
    planned = plan_statuses(
        make_message(), Behaviour(statuses=StatusCourse.REVERSED_TWICE), settings, Random(1)
    )
    times = {status.event.status: status.event.occurred_at - 1_786_000_000 for status in planned}

    assert times == {"sent": 1, "delivered": 5, "read": 9}


def test_reordering_changes_places_with_the_next_status() -> None:
    assert plan(SandboxSettings(reorder=1)) == ["read", "sent", "delivered"]


def test_a_repeated_status_is_the_same_event() -> None:
    planned = plan_statuses(
        make_message(), Behaviour(statuses=StatusCourse.NORMAL), SandboxSettings(repeat=1), Random(1)
    )

    assert len(planned) == 6
    assert all(first.event is second.event for first, second in zip(planned[::2], planned[1::2], strict=True))


def test_the_same_seed_makes_the_same_plan() -> None:
    settings = SandboxSettings(reorder=0.5, repeat=0.5)

    def make(seed: int) -> list[PlannedStatus]:
        return plan_statuses(make_message(), Behaviour(statuses=StatusCourse.NORMAL), settings, Random(seed))

    assert make(3) == make(3)
    assert any(make(3) != make(seed) for seed in range(4, 9))
