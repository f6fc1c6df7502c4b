"""A cart's latest row is a function of the set of its facts: any order, repetition and split ends in one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.carts.row import CartRow
from shared.commerce.carts.rules import CartFact, PlacedOrder, fold_cart, outranks
from shared.commerce.shops.stamps import FactOutcome
from shared.payloads import CartDeleted, CartUpdated

NOON = datetime(2024, 5, 6, 12, tzinfo=UTC)
NOW = datetime(2024, 5, 6, 13, tzinfo=UTC)
ID = UUID(int=1)
ITEM = {"product_id": "7", "quantity": 2, "price": "12.90"}
PHONE = "491700000001"
Told = tuple[CartFact, str | None]


def cart(second: int = 0, *, pieces: int = 2, **fields: Any) -> CartUpdated:
    items = [ITEM | {"quantity": pieces}] if pieces else []
    given_fields = {"cart_id": "c1", "items": items, "currency": "EUR"} | fields
    return CartUpdated(updated_at=NOON + timedelta(seconds=second), **given_fields)


def deleted(second: int = 0) -> CartDeleted:
    return CartDeleted(cart_id="c1", updated_at=NOON + timedelta(seconds=second))


def step(
    row: CartRow | None, fact: CartFact, customer: str | None = PHONE, purchase: PlacedOrder | None = None
) -> tuple[CartRow, FactOutcome, bool]:
    change = fold_cart(row, fact, customer, purchase=purchase, now=NOW, new_id=ID)
    return change.row, change.outcome, change.opened


def latest(told: Sequence[Told]) -> CartRow:
    row: CartRow | None = None
    for fact, customer in told:
        row, _, _ = step(row, fact, customer)
    assert row is not None
    return replace(row, revision=0, next_step_at=None)  # which is a hint


CUSTOMERS = st.sampled_from([None, PHONE, "491700000002"])
CARTS = st.builds(
    cart,
    second=st.sampled_from([0, 1, 2, 90]),
    pieces=st.integers(0, 2),
    version=st.none() | st.integers(1, 2),
)
BOUGHT = st.builds(
    cart, second=st.sampled_from([0, 1, 90]), order_id=st.sampled_from(["o1", "o2"]), pieces=st.just(1)
)
DELETED = st.builds(deleted, second=st.sampled_from([0, 1, 90]))
PLAIN = st.builds(cart, second=st.sampled_from([0, 1, 2, 90, 150]), pieces=st.integers(0, 2))


@given(st.lists(st.tuples(CARTS | DELETED, CUSTOMERS), min_size=1, max_size=3), st.data())
def test_updates_and_deletions_end_in_one_row_in_every_order(told: list[Told], data: st.DataObject) -> None:
    repeated = [*told, *data.draw(st.lists(st.sampled_from(told), max_size=1))]

    assert len({repr(latest(some)) for some in permutations(repeated)}) == 1


@given(st.lists(st.tuples(PLAIN | BOUGHT, CUSTOMERS), min_size=1, max_size=3), st.data())
def test_updates_and_purchases_end_in_one_row_in_every_order(told: list[Told], data: st.DataObject) -> None:
    repeated = [*told, *data.draw(st.lists(st.sampled_from(told), max_size=1))]

    assert len({repr(latest(some)) for some in permutations(repeated)}) == 1


def test_a_cart_without_a_total_costs_what_its_items_cost() -> None:
    row = latest([(cart(items=[ITEM, ITEM | {"price": "0.05", "quantity": 3}]), PHONE)])

    assert str(row.total) == "25.95"


def test_a_cart_of_somebody_with_something_in_it_is_looked_at() -> None:
    assert step(None, cart())[0].next_step_at == NOW
    assert step(None, cart(), None)[0].next_step_at is None
    assert step(None, cart(pieces=0))[0].next_step_at is None


def test_a_busy_cart_is_active_and_its_next_look_stays() -> None:
    row, _, _ = step(None, cart())
    row = replace(row, next_step_at=NOON, last_activity_at=NOON)

    changed, _, _ = step(row, cart(second=1, pieces=3))
    repriced, _, _ = step(row, cart(second=1, items=[ITEM | {"price": "1.00"}]))

    assert (changed.last_activity_at, changed.next_step_at) == (NOW, NOON)
    assert (repriced.last_activity_at, repriced.next_step_at) == (NOON, NOON)


def test_an_abandoned_cart_that_is_touched_begins_another_round() -> None:
    row, _, _ = step(None, cart())
    row = replace(
        row, status="abandoned", abandoned_at=NOON, reminder_1_sent_at=NOON, stopped_at=NOON, stop_reason="x"
    )

    after, _, _ = step(row, cart(second=1, pieces=3))

    assert (after.status, after.round, after.reminders, after.stopped_at) == ("active", 2, [], None)
    assert after.next_step_at == NOW


def test_a_deletion_ends_a_cart_and_what_comes_later_begins_it_anew() -> None:
    ended, outcome, _ = step(step(None, cart())[0], deleted(second=1))
    again, _, opened = step(ended, cart(second=2))

    assert (ended.status, ended.status_reason, outcome) == ("expired", "deleted", FactOutcome.APPLIED)
    assert (again.status, opened) == ("active", True)


def test_a_deletion_that_comes_first_is_remembered() -> None:
    row, outcome, opened = step(step(None, deleted(second=1))[0], cart(second=0))

    assert (row.is_open, outcome, opened) == (False, FactOutcome.LATE, False)


def test_a_cart_that_names_its_order_is_bought_and_never_opens() -> None:
    known, _, _ = step(step(None, cart())[0], cart(second=1, order_id="o1"))
    unknown, _, _ = step(None, cart(order_id="o1"))

    assert (known.status, known.recovered_order_id) == ("converted", "o1")
    assert (unknown.status, unknown.is_open) == ("converted", False)


def test_what_a_shop_tells_within_a_minute_of_the_purchase_fills_nothing_anew() -> None:
    bought, _, _ = step(None, cart(order_id="o1"))

    soon, _, opened_soon = step(bought, cart(second=60))
    later, _, opened_later = step(bought, cart(second=61))

    assert (soon.is_open, opened_soon) == (False, False)
    assert (later.is_open, opened_later) == (True, True)


def test_a_cart_that_is_told_after_its_order_is_bought_from_the_first() -> None:
    order = PlacedOrder("o1", NOON + timedelta(seconds=30))

    before, _, _ = step(None, cart(), purchase=order)
    after, _, _ = step(None, cart(second=91), purchase=order)

    assert (before.status, before.recovered_order_id) == ("converted", "o1")
    assert after.is_open


def test_of_two_carts_of_a_customer_one_with_something_in_it_stays_then_the_later() -> None:
    early, late = latest([(cart(), PHONE)]), latest([(cart(second=1), PHONE)])
    empty = latest([(cart(second=2, pieces=0), PHONE)])

    assert outranks(late, early)
    assert outranks(early, empty)
    assert not outranks(empty, late)
