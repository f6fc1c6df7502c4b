"""A shop of SHOPS_FILE for people: what it says in words, and what is missing in it. Pure."""

from datetime import timedelta
from typing import Final

from shared.commerce.shops.file import CART_TYPES, ORDER_TYPES, Shop

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def describe_shop(shop: Shop) -> dict[str, str]:
    """Its choices, each as the file would say it."""
    coupon = shop.cart.coupon
    return {
        "currency": shop.currency,
        "language": shop.language,
        "timezone": shop.timezone.key,
        "number": shop.phone_number_id,
        "quiet hours": str(shop.quiet_hours),
        "marketing": ", ".join(f"{cap.most}/{_delay(cap.window)}" for cap in shop.caps.marketing),
        "reminders": ", ".join(map(_delay, shop.cart.reminders)) or "none",
        "carts expire": _delay(shop.cart.expires),
        "coupon": "none" if coupon is None else f"{coupon.code} with reminder {coupon.on}",
        "control group": f"{shop.holdout_percent}%",
        "messages": ", ".join(
            f"{kind} ({', '.join(sorted(said))})" for kind, said in sorted(shop.messages.items())
        ),
    }


def find_gaps(shop: Shop) -> list[str]:
    """A line for each message that will never be sent, and why."""
    wanted = [*CART_TYPES[: len(shop.cart.reminders)], *ORDER_TYPES]
    gaps = [f"{kind}: no message, so it is never sent" for kind in wanted if kind not in shop.messages]
    for kind, said in sorted(shop.messages.items()):
        if shop.language not in said:
            gaps.append(f"{kind}: none in the shop's language {shop.language}, so others get none")
        gaps += [
            f"{kind} {language}: no template, so who has not written for a day gets none"
            for language, message in sorted(said.items())
            if message.template is None
        ]
    return gaps


def _delay(delay: timedelta) -> str:
    seconds = int(delay.total_seconds())
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"
