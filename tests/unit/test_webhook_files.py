"""Files of recorded webhooks, as `wabus shop publish` reads them."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from shared.commerce.shops.publishing import WebhookFileError, read_recorded
from tests.support.shop_bodies import WOO_ORDER


def write(path: Path, *lines: Any) -> Path:
    path.write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    return path


def test_a_file_of_recorded_deliveries_is_read_whole(tmp_path: Path) -> None:
    path = write(
        tmp_path / "hooks.jsonl",
        {"headers": {"x-wc-webhook-topic": "order.updated"}, "body": WOO_ORDER},
        {"headers": {"X-WC-Webhook-Topic": "order.deleted"}, "body": {"id": 1}},
    )

    recorded = read_recorded(path, "woocommerce", shop_id="mugs", currency=None)

    assert (recorded.lines, recorded.silent) == (2, 1)
    assert [(fact.routing_key, fact.fields["shop_id"]) for fact in recorded.facts] == [
        ("order.updated", "mugs")
    ]


@pytest.mark.parametrize(
    ("platform", "line", "error"),
    [
        ("woocommerce", {"body": WOO_ORDER}, ":1: the header X-WC-Webhook-Topic is missing"),
        ("woocommerce", {"headers": {}}, ":1: no JSON object with an object `body`"),
        ("wabus", {"key": "cart.lost", "body": {}}, ":1: key is none of cart.updated"),
        ("wabus", {"key": "cart.deleted", "body": {"cart_id": "1"}}, ":1: updated_at: field required"),
        (
            "woocommerce",
            {"headers": {"X-WC-Webhook-Topic": "order.updated"}, "body": WOO_ORDER | {"total": "-1"}},
            ":1: total: ",
        ),
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, platform: str, line: Any, error: str) -> None:
    with pytest.raises(WebhookFileError, match=error):
        read_recorded(write(tmp_path / "hooks.jsonl", line), platform, shop_id="default", currency=None)
