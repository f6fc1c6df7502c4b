"""Which notices an order's changes cause: once each, whatever repeats, and none that is not true any more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.notices.orders import OrderSeen, TakeBack, order_notices
from shared.commerce.notices.planning import PlannedNotice
from shared.commerce.shops.file import ORDER_TYPES

NOW = datetime(2026, 6, 10, 10, tzinfo=UTC)
ORDER = OrderSeen(
    "default", "17", "processing", "491700000001", "1001", "en", True, {}, {}, {"order_number": "17"}
)
NUMBER = {"Z1": {"carrier": "DHL", "tracking_url": "https://dhl.example/Z1"}}
STATUSES = (
    "pending",
    "on_hold",
    "processing",
    "shipped",
    "delivered",
    "completed",
    "failed",
    "cancelled",
    "refunded",
)


def seen(status: str, **changes: object) -> OrderSeen:
    return replace(ORDER, status=status, **changes)  # type: ignore[arg-type]


def caused(before: OrderSeen | None, after: OrderSeen, **changes: object) -> list[PlannedNotice | TakeBack]:
    asked = {"now": NOW, "updated_at": NOW, "types": ORDER_TYPES} | changes
    return list(order_notices(before, after, **asked))  # type: ignore[arg-type]


def planned(before: OrderSeen | None, after: OrderSeen, **changes: object) -> list[PlannedNotice]:
    return [item for item in caused(before, after, **changes) if isinstance(item, PlannedNotice)]


def types(before: OrderSeen | None, after: OrderSeen) -> list[str]:
    return [item.notification_type for item in planned(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, seen("pending"), []),
        (None, seen("pending", trackings=NUMBER, refunds={"r": "1.00"}), []),
        (None, seen("on_hold"), ["order_confirmed"]),
        (None, seen("processing"), ["order_confirmed"]),
        (seen("pending"), seen("processing"), ["order_confirmed"]),
        (seen("on_hold"), seen("processing"), []),
        (seen("failed"), seen("processing"), ["order_confirmed"]),
        (seen("shipped"), seen("processing"), []),
        (seen("pending"), seen("failed"), ["payment_failed"]),
        (None, seen("shipped"), ["shipped"]),
        (None, seen("shipped", trackings=NUMBER), ["shipped"]),
        (seen("processing"), seen("processing", trackings=NUMBER), ["shipped"]),
        (seen("processing", trackings=NUMBER), seen("shipped", trackings=NUMBER), []),
        (
            seen("pending", trackings=NUMBER),
            seen("processing", trackings=NUMBER),
            ["order_confirmed", "shipped"],
        ),
        (seen("shipped"), seen("delivered"), ["delivered"]),
        (seen("shipped"), seen("completed"), ["completed"]),
        (seen("delivered"), seen("completed"), []),
        (seen("processing"), seen("cancelled"), ["cancelled"]),
        (seen("cancelled"), seen("cancelled", trackings=NUMBER), []),
        (seen("processing"), seen("processing", refunds={"r1": "2.00"}), ["refunded"]),
        (
            seen("processing", refunds={"r1": "2"}),
            seen("refunded", refunds={"r1": "2", "r2": "3"}),
            ["refunded"],
        ),
        (seen("processing"), seen("refunded"), ["refunded"]),
        (seen("processing"), seen("deleted"), []),
    ],
)
def test_a_change_tells_what_is_news(before: OrderSeen | None, after: OrderSeen, told: list[str]) -> None:
    assert types(before, after) == told


@given(
    st.lists(
        st.builds(
            seen,
            st.sampled_from(STATUSES),
            trackings=st.sampled_from([{}, NUMBER]),
            refunds=st.sampled_from([{}, {"r1": "2.00"}]),
        ),
        max_size=6,
    )
)
def test_the_same_again_tells_nothing(states: list[OrderSeen]) -> None:
    doubled = [state for state in states for _ in range(2)]

    steps = [planned(*step) for step in zip([None, *states], states, strict=False)]
    repeated = [planned(*step) for step in zip([None, *doubled], doubled, strict=False)]

    assert [step for step in repeated if step] == [step for step in steps if step]


def test_a_notice_says_whose_order_it_is_and_when_it_settles() -> None:
    (notice,) = planned(seen("processing"), seen("processing", trackings=NUMBER))

    assert notice.dedupe_key == "order:default:17:shipped:Z1"
    assert (notice.order_id, notice.category, notice.customer_phone) == ("17", "utility", "491700000001")
    assert notice.not_before == NOW + timedelta(seconds=30)
    assert notice.not_after == NOW + timedelta(hours=24)
    assert notice.variables == {
        "order_number": "17",
        "tracking_number": "Z1",
        "carrier": "DHL",
        "tracking_url": "https://dhl.example/Z1",
    }


def test_a_refund_tells_its_amount() -> None:
    (notice,) = planned(seen("processing"), seen("processing", refunds={"r1": "2.50"}))

    assert notice.variables["refund_amount"] == "2.50"


def test_a_shipment_without_a_number_waits_for_one_and_gives_way_to_it() -> None:
    (waits,) = planned(seen("processing"), seen("shipped"))
    taken, numbered = caused(seen("shipped"), seen("shipped", trackings=NUMBER))

    assert waits.not_before == NOW + timedelta(minutes=10)
    assert taken == TakeBack(("default", "17"), "superseded", keys=(waits.dedupe_key,))
    assert isinstance(numbered, PlannedNotice)
    assert numbered.dedupe_key != waits.dedupe_key


@pytest.mark.parametrize(
    ("status", "stays"),
    [
        ("shipped", {"order_confirmed", "shipped", "delivered", "completed", "cancelled", "refunded"}),
        ("delivered", {"order_confirmed", "delivered", "completed", "cancelled", "refunded"}),
        ("failed", {"payment_failed", "shipped", "delivered", "completed", "cancelled", "refunded"}),
        ("cancelled", {"cancelled", "refunded"}),
        ("refunded", {"cancelled", "refunded"}),
        ("deleted", set()),
    ],
)
def test_a_later_status_takes_back_what_is_not_true_any_more(status: str, stays: set[str]) -> None:
    (taken,) = [item for item in caused(seen("processing"), seen(status)) if isinstance(item, TakeBack)]

    assert taken.reason == "superseded"
    assert set(ORDER_TYPES) - {"payment_link"} - set(taken.types or ()) == stays


@pytest.mark.parametrize(
    ("after", "changes", "reason"),
    [
        (seen("processing"), {}, None),
        (seen("processing"), {"updated_at": NOW - timedelta(hours=24, seconds=1)}, "stale"),
        (seen("processing"), {"updated_at": NOW - timedelta(hours=24)}, None),
        (seen("processing", whatsapp=False), {}, "whatsapp_off"),
        (seen("processing", customer_phone=None), {}, "no_phone"),
    ],
)
def test_what_nobody_can_be_told_is_planned_as_skipped(
    after: OrderSeen, changes: dict[str, object], reason: str | None
) -> None:
    (notice,) = planned(None, after, **changes)

    assert notice.skip_reason == reason


def test_a_type_without_a_message_is_never_planned() -> None:
    assert planned(None, ORDER, types=["shipped"]) == []
