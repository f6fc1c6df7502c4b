"""What shops say, and what becomes of the carts that customers leave."""

from typing import Final

from deploy.grafana.panels import Board, Panel, above, number, quantile, rate

_UPDATER: Final = 'worker="shop-updater"'
_GREEN: Final = ((None, "green"),)


def _carts(outcome: str, days: int = 1) -> str:
    """How many carts ended so in the last days; 0 where none did."""
    return f'(sum(increase(wabus_carts_total{{outcome="{outcome}"}}[{days}d])) or vector(0))'


RECOVERY: Final = Board(
    "recovery",
    "Recovery",
    "What shops say, and what becomes of carts. Of one: wabus cart show ID.",
    (
        number(
            "Opened in the last day",
            "Carts that customers began. Normal: as many as the shops have; 0 means that no facts come.",
            "short",
            _carts("opened"),
            _GREEN,
        ),
        number(
            "Abandoned in the last day",
            "Carts left for as long as the shop's first reminder waits. Normal: most of those opened.",
            "short",
            _carts("abandoned"),
            _GREEN,
        ),
        number(
            "Recovered in the last day",
            "Bought after a reminder. Normal: some of those abandoned.",
            "short",
            _carts("recovered"),
            _GREEN,
        ),
        number(
            "Converted in the last day",
            "Bought without a reminder that counts for it. Normal: more than were recovered.",
            "short",
            _carts("converted"),
            _GREEN,
        ),
        number(
            "Recovered of those abandoned",
            "Share of seven days. Normal: a few of a hundred; watch whether it falls.",
            "percentunit",
            f"{_carts('recovered', 7)} / ({_carts('abandoned', 7)} > 0)",
            _GREEN,
        ),
        number(
            "Facts that died in the last hour",
            "What shops said and could not be read. Normal: 0; wabus dlq list shows each.",
            "short",
            f'sum(increase(wabus_messages_processed_total{{{_UPDATER},outcome="dead"}}[1h])) or vector(0)',
            above(10, warn=1),
        ),
        Panel(
            "Carts each second, by what became of them",
            "Normal: as many end as are opened, over some days; recovered and converted were bought.",
            "cps",
            {"{{outcome}}": rate("wabus_carts_total", "outcome")},
            width=12,
        ),
        Panel(
            "Facts each second, by kind",
            "What shops say of carts, orders, products, customers and views. Normal: steady by day.",
            "eps",
            {"{{kind}}": rate("wabus_facts_total", "kind")},
            width=12,
        ),
        Panel(
            "Facts that changed nothing each second",
            "Late, told before, or of nobody who is known. Normal: few; many duplicates: a shop repeats.",
            "eps",
            {
                "{{kind}} {{outcome}}": rate(
                    'wabus_facts_total{outcome=~"late|duplicate|unreachable"}', "kind", "outcome"
                )
            },
        ),
        Panel(
            "Deliveries of shops each second",
            "What became of each message of a shop. Normal: ack; dead could not be read.",
            "mps",
            {"{{outcome}}": rate(f"wabus_messages_processed_total{{{_UPDATER}}}", "outcome")},
        ),
        Panel(
            "Deliveries of shops waiting",
            "Messages that no shop-updater has taken yet. Normal: near 0.",
            "short",
            {"{{queue}}": 'max by (queue) (wabus_queue_depth{queue=~"shop-updater|shop-updater.views"})'},
        ),
        Panel(
            "Until a fact is stored",
            "95 of 100 are faster. Normal: below 1 s; late orders let a reminder follow a purchase.",
            "s",
            {
                "waits in its queue": quantile(0.95, "wabus_queue_wait_seconds", where=_UPDATER),
                "is stored": quantile(0.95, "wabus_message_duration_seconds", where=_UPDATER),
            },
            width=12,
        ),
        Panel(
            "Cart reminders decided each second",
            "Queued goes out; why one was skipped: wabus notice list. Normal: most are queued by day.",
            "cps",
            {"{{outcome}}": rate('wabus_notices_total{kind="cart"}', "outcome")},
            width=12,
        ),
    ),
)
