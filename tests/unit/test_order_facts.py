"""An order's row is a function of the set of its facts: any order, repetition and split ends in one row."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.orders.rules import (
    Contribution,
    OrderFact,
    OrderRow,
    contribution_of,
    fold_order,
)
from shared.commerce.shops.stamps import FactOutcome
from shared.payloads import OrderRefunded, OrderShipped, OrderUpdated
from shared.payloads.shop import Tracking

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
#: A fact, and whom it names.
Told = tuple[OrderFact, str | None]


def order(second: int = 0, **fields: Any) -> OrderUpdated:
    given_fields = {"order_id": "1", "status": "processing", "total": "100.00", "currency": "EUR"} | fields
    return OrderUpdated(updated_at=NOON + timedelta(seconds=second), **given_fields)


def refund(refund_id: str = "r1", amount: str = "10.00", currency: str = "EUR") -> OrderRefunded:
    return OrderRefunded(
        order_id="1", refund_id=refund_id, amount=amount, currency=currency, occurred_at=NOON
    )


def parcel(number: str = "p1", second: int = 0, carrier: str | None = None) -> OrderShipped:
    at = NOON + timedelta(seconds=second)
    return OrderShipped(order_id="1", tracking=Tracking(number=number, carrier=carrier), occurred_at=at)


def fold(told: Sequence[Told]) -> OrderRow:
    row = OrderRow("default", "1")
    for fact, customer in told:
        row, _ = fold_order(row, fact, customer)
    return replace(row, revision=0)


AMOUNTS = st.sampled_from(["0", "5", "5.0", "5.00", "99.9999", "100.00", "120.5"])
ORDERS = st.builds(
    order,
    second=st.integers(0, 2),
    status=st.sampled_from(["pending", "processing", "shipped", "cancelled", "refunded"]),
    total=AMOUNTS,
    currency=st.sampled_from(["EUR", "USD"]),
    refunded_total=st.none() | AMOUNTS,
    version=st.none() | st.integers(1, 2),
    tracking=st.none() | st.just([Tracking(number="p1")]),
)
REFUNDS = st.builds(
    refund, refund_id=st.sampled_from(["r1", "r2"]), amount=AMOUNTS, currency=st.sampled_from(["EUR", "USD"])
)
PARCELS = st.builds(
    parcel,
    number=st.sampled_from(["p1", "p2"]),
    second=st.integers(0, 1),
    carrier=st.sampled_from([None, "DHL", "UPS"]),
)
TOLD = st.tuples(ORDERS | REFUNDS | PARCELS, st.sampled_from([None, "491700000001", "491700000002"]))


@given(st.lists(TOLD, min_size=1, max_size=3), st.data())
def test_every_order_and_repetition_of_facts_ends_in_one_row(told: list[Told], data: st.DataObject) -> None:
    repeated = [*told, *data.draw(st.lists(st.sampled_from(told), max_size=1))]

    rows = {repr(fold(some)) for some in permutations(repeated)}

    assert len(rows) == 1


@given(st.lists(TOLD, min_size=1, max_size=6), st.randoms())
def test_six_facts_end_in_the_same_row_however_they_come(told: list[Told], random: Any) -> None:
    mixed = [*told, *told]
    random.shuffle(mixed)

    assert fold(mixed) == fold(told)


@given(st.lists(TOLD, min_size=1, max_size=6))
def test_what_is_refunded_is_never_more_than_the_whole(told: list[Told]) -> None:
    row = fold(told)

    assert Decimal(0) <= row.refunded_total
    assert row.total is None or row.refunded_total <= row.total


def test_of_one_second_the_higher_status_counts() -> None:
    row = fold([(order(status="shipped"), None), (order(status="processing"), None)])

    assert row.status == "shipped"


def test_a_version_is_greater_than_any_time() -> None:
    row = fold([(order(second=5, version=1), None), (order(second=0, version=2, total="7"), None)])

    assert row.total == Decimal(7)


def test_a_field_that_the_greatest_fact_leaves_out_is_null() -> None:
    row = fold([(order(order_number="17"), None), (order(second=1), None)])

    assert row.order_number is None


def test_a_refund_alone_opens_a_pending_row_and_waits_for_the_order() -> None:
    early = fold([(refund(), None)])
    late = fold([(refund(), None), (order(), None)])

    assert (early.status, early.stamp) == ("pending", None)
    assert early.refunded_total == 0
    assert late.refunded_total == Decimal("10.00")


def test_refunds_add_up_and_one_that_is_told_twice_counts_once() -> None:
    told = [refund("r1", "10.00"), refund("r2", "20.50"), refund("r1", "10.00")]

    row = fold([(order(), None), *((item, None) for item in told)])

    assert row.refunded_total == Decimal("30.50")


def test_a_refund_in_another_currency_is_kept_and_not_added() -> None:
    row = fold([(order(), None), (refund(currency="USD"), None)])

    assert row.refunded_total == 0
    assert row.refunds["r1"]["currency"] == "USD"


def test_a_late_fact_still_tells_who_the_customer_is() -> None:
    row = fold([(order(second=1), None), (order(second=0), "491700000001")])

    assert row.customer_phone == "491700000001"


@pytest.mark.parametrize(
    ("facts", "outcomes"),
    [
        ([order()], [FactOutcome.APPLIED]),
        ([order(), order()], [FactOutcome.APPLIED, FactOutcome.DUPLICATE]),
        ([order(second=1), order()], [FactOutcome.APPLIED, FactOutcome.LATE]),
        ([refund(), refund()], [FactOutcome.APPLIED, FactOutcome.DUPLICATE]),
        ([parcel(), parcel()], [FactOutcome.APPLIED, FactOutcome.DUPLICATE]),
    ],
)
def test_a_fact_is_applied_late_or_a_duplicate(facts: list[OrderFact], outcomes: list[FactOutcome]) -> None:
    row = OrderRow("default", "1")
    told = []
    for fact in facts:
        row, outcome = fold_order(row, fact, "491700000001")
        told.append(outcome)

    assert told == outcomes


def test_an_order_of_nobody_is_kept_and_said_to_be_unreachable() -> None:
    row, outcome = fold_order(OrderRow("default", "1"), order(), None)

    assert (row.total, outcome) == (Decimal("100.00"), FactOutcome.UNREACHABLE)


@pytest.mark.parametrize(
    ("status", "orders", "spent"),
    [
        ("pending", 0, "0"),
        ("on_hold", 0, "0"),
        ("processing", 1, "89.50"),
        ("completed", 1, "89.50"),
        ("refunded", 1, "89.50"),
        ("cancelled", 0, "0"),
        ("deleted", 0, "0"),
    ],
)
def test_a_profile_counts_what_is_paid_less_what_was_given_back(status: str, orders: int, spent: str) -> None:
    row = fold([(order(status=status), "491700000001"), (refund(amount="10.50"), None)])

    counted = contribution_of(row, "EUR")

    assert (counted.orders, counted.spent) == (orders, Decimal(spent))


def test_an_order_in_another_currency_counts_and_its_money_does_not() -> None:
    row = fold([(order(), "491700000001")])

    assert contribution_of(row, "USD") == Contribution("491700000001", 1)
