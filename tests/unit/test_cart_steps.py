"""What is due of a cart that idles, and which reminders a look at it plans."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from shared.commerce.carts.steps import CartStep, IdleCart, find_step
from shared.commerce.notices.reminders import RemindedCart, is_held_out, plan_reminders
from shared.commerce.shops.file import CartChoice, FixedCoupon, Shop
from tests.support.notices import ANA, shop

LEFT = datetime(2026, 1, 15, 12, tzinfo=UTC)
REMINDERS = CartChoice().reminders
EXPIRES = CartChoice().expires
CART = RemindedCart(
    id=UUID(int=1),
    shop_id="default",
    customer_phone=ANA,
    phone_number_id="1001",
    round=2,
    items=[
        {"product_id": "p1", "quantity": 3, "price": "4.00", "product_name": "Socks"},
        {"product_id": "p2", "quantity": 1, "price": "50.00", "product_name": "Coat"},
    ],
    total="62.00",
    currency="EUR",
    cart_url="https://shop.example/c",
)


def after(hours: float) -> datetime:
    return LEFT + timedelta(hours=hours)


def look(
    hours: float,
    *,
    sent: Sequence[datetime | None] = (None, None, None),
    reachable: bool = True,
    abandoned: bool = False,
) -> CartStep:
    cart = IdleCart(after(hours), LEFT, abandoned, reachable, sent)
    return find_step(cart, REMINDERS, EXPIRES)


def test_a_cart_that_was_used_a_moment_ago_is_looked_at_when_it_may_be_abandoned() -> None:
    assert look(3.99) == CartStep(after(4))


@pytest.mark.parametrize(
    ("hours", "reminder", "next_at"), [(4, 1, 24), (23.9, 1, 24), (24, 2, 48), (48, 3, 72), (71.9, 3, 72)]
)
def test_each_delay_has_its_reminder_until_the_next_one_is_due(
    hours: float, reminder: int, next_at: float
) -> None:
    step = look(hours, abandoned=True)

    assert step == CartStep(
        after(next_at), abandons=False, reminder=reminder, reminder_ends_at=after(next_at)
    )


def test_the_first_look_behind_the_first_delay_abandons_however_late_it_is() -> None:
    assert [look(hours).abandons for hours in (3.9, 4, 30, 71)] == [False, True, True, True]


@pytest.mark.parametrize("hours", [72, 1000])
def test_a_cart_that_idles_for_too_long_expires(hours: float) -> None:
    assert look(hours).expires
    assert look(hours, reachable=False).expires


def test_whom_nobody_can_tell_is_looked_at_at_each_delay_and_reminded_of_nothing() -> None:
    steps = [look(hours, reachable=False) for hours in (0, 5, 30, 50)]

    assert steps == [CartStep(after(hours)) for hours in (4, 24, 48, 72)]


def test_a_reminder_leaves_six_hours_to_the_one_that_was_sent_late() -> None:
    step = look(24, sent=(after(22), None, None), abandoned=True)

    assert step == CartStep(after(28))
    assert look(28, sent=(after(22), None, None), abandoned=True).reminder == 2


def test_of_delays_that_are_near_half_the_distance_is_enough() -> None:
    seconds = [timedelta(seconds=value) for value in (10, 14)]
    cart = IdleCart(
        LEFT + timedelta(seconds=14), LEFT, True, True, (LEFT + timedelta(seconds=13), None, None)
    )

    assert find_step(cart, seconds, timedelta(minutes=1)).next_at == LEFT + timedelta(seconds=15)


def test_a_reminder_that_would_come_no_sooner_than_the_next_one_is_left_to_that() -> None:
    assert look(47, sent=(after(46), None, None), abandoned=True) == CartStep(after(48))


def test_only_the_highest_reminder_is_due_after_an_outage_and_those_below_are_over() -> None:
    notices = plan_reminders(CART, look(50), with_types(1, 2, 3), after(50))

    assert [(notice.notification_type, notice.skip_reason) for notice in notices] == [
        ("cart_reminder_1", "overtaken"),
        ("cart_reminder_2", "overtaken"),
        ("cart_reminder_3", None),
    ]
    assert [notice.dedupe_key for notice in notices] == [f"cart:{CART.id}:2:{number}" for number in (1, 2, 3)]
    assert {(notice.not_before, notice.not_after) for notice in notices} == {(after(50), after(72))}


def test_a_type_without_a_message_is_never_planned() -> None:
    assert plan_reminders(CART, look(25), with_types(1), after(25))[0].skip_reason == "overtaken"
    assert plan_reminders(CART, look(5), with_types(2), after(5)) == []


def test_a_reminder_tells_of_the_cart_and_leaves_out_what_is_not_known() -> None:
    [notice] = plan_reminders(CART, look(4), with_types(1), after(4))
    [bare] = plan_reminders(replace(CART, cart_url=None, currency=None), look(4), with_types(1), after(4))

    assert notice.variables == {
        "item_count": "4",
        "total": "62.00",
        "currency": "EUR",
        "top_item_name": "Coat",
        "cart_url": "https://shop.example/c",
    }
    assert bare.variables.keys() == {"item_count", "total", "top_item_name"}


@pytest.mark.parametrize(
    ("coupon", "value"),
    [
        (FixedCoupon.model_validate({"code": "COME", "on": 1, "percent": "10"}), "10%"),
        (FixedCoupon.model_validate({"code": "COME", "on": 1, "amount": "5.00"}), "5.00 EUR"),
        (FixedCoupon.model_validate({"code": "COME", "on": 3, "percent": "10"}), None),
    ],
)
def test_the_coupon_is_named_by_its_own_reminder_alone(coupon: FixedCoupon, value: str | None) -> None:
    chosen = with_types(1)
    chosen = chosen.model_copy(update={"cart": CartChoice(coupon=coupon)})

    [notice] = plan_reminders(CART, look(4), chosen, after(4))

    assert notice.variables.get("coupon_value") == value
    assert notice.variables.get("coupon_code") == (None if value is None else "COME")


def test_the_control_group_is_the_same_people_whatever_the_day_and_about_its_share() -> None:
    phones = [str(491700000000 + number) for number in range(2000)]

    chosen = [phone for phone in phones if is_held_out("default", phone, 20)]

    assert 300 < len(chosen) < 500
    assert chosen == [phone for phone in phones if is_held_out("default", phone, 20)]
    assert not any(is_held_out("default", phone, 0) for phone in phones)
    assert all(is_held_out("default", phone, 100) for phone in phones)


def with_types(*numbers: int) -> Shop:
    chosen = shop()
    said = chosen.messages["cart_reminder_1"]
    return chosen.model_copy(update={"messages": {f"cart_reminder_{number}": said for number in numbers}})
