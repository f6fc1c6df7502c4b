"""A shop of a watched cluster: customers fill carts and leave them, and some buy after a reminder."""

import time
from collections.abc import Iterator
from typing import Any, Final

from tests.support.watched_cluster import NUMBER, Sent

_SAID: Final = {"en": {"template": {"name": "welcome", "language": "en"}}}
#: SHOPS_FILE: it never sleeps, and reminds within seconds.
SHOPS: Final = {
    "default": {
        "currency": "EUR",
        "timezone": "Europe/Berlin",
        "phone_number_id": NUMBER,
        "quiet_hours": "00:00-00:00",
        "cart": {"reminders": ["3s"], "expires": "1h"},
        "messages": {"cart_reminder_1": _SAID, "order_confirmed": _SAID},
    }
}
#: Seconds from a cart to its purchase, or to the refusal of who has it.
_BUYS_S, _REFUSES_S = 12, 8
#: One of so many never consented; of so many refuses later; of so many buys.
_SILENT, _REFUSING, _BUYING = 4, 5, 3
#: Seconds between two mistakes of the shop: a repetition, and a cart that cannot be read.
_WRONG: Final = 10


def shopping(second: int) -> Iterator[Sent]:
    """What happens in a second: consent, a cart, a look at a product; a refusal, a purchase."""
    if second % _SILENT:
        yield _says("start", second)
    yield "wa.shop", "cart.updated", _cart(second)
    yield "wa.shop", "view", _view(second)
    if second % _WRONG == 0:
        yield "wa.shop", "view", _view(second)
        yield "wa.shop", "cart.updated", {"updated_at": int(time.time()), "cart_id": "of nothing"}
    if second >= _REFUSES_S and second % _REFUSING == 0:
        yield _says("stop", second - _REFUSES_S)
    if second >= _BUYS_S and second % _BUYING == 0:
        yield "wa.shop", "order.updated", _order(second - _BUYS_S)


def _says(word: str, customer: int) -> Sent:
    said = {
        "wamid": f"wamid.{word}.{customer}",
        "wa_id": _phone(customer),
        "timestamp": int(time.time()),
        "phone_number_id": NUMBER,
        "message_text": word,
    }
    return "wa.inbound", _phone(customer), said


def _cart(customer: int) -> dict[str, Any]:
    return _fact(customer) | {"cart_id": f"cart {customer}", "items": [_ITEM]}


def _order(customer: int) -> dict[str, Any]:
    bought = {"order_id": f"order {customer}", "cart_id": f"cart {customer}", "items": [_ITEM]}
    return _fact(customer) | bought | {"status": "processing", "total": "12.90"}


def _view(customer: int) -> dict[str, Any]:
    return {
        "wa_id": _phone(customer),
        "views": [{"product_id": _ITEM["product_id"], "viewed_at": int(time.time())}],
    }


def _fact(customer: int) -> dict[str, Any]:
    return {"updated_at": int(time.time()), "wa_id": _phone(customer), "currency": "EUR"}


def _phone(customer: int) -> str:
    return f"491740{customer:03}000"


_ITEM: Final[dict[str, Any]] = {"product_id": "mug", "quantity": 2, "price": "6.45"}
