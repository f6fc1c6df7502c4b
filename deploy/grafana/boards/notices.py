"""Automatic messages: what is decided over them, how late, and whether they go out."""

from typing import Final

from deploy.grafana.panels import Board, Panel, above, number, quantile, rate

_NOTIFIER: Final = 'worker="notifier"'
_LANES: Final = 'lane=~"utility|bulk"'
_LATENESS: Final = "wabus_notice_lateness_seconds"
_SKIPPED: Final = rate('wabus_notices_total{outcome="skipped"}', "kind")
_QUEUED: Final = rate('wabus_notices_total{outcome="queued"}', "kind")
_OVER: Final = rate('wabus_notices_total{outcome=~"queued|skipped"}', "kind")
_GREEN: Final = ((None, "green"),)


def _decided(outcome: str) -> str:
    """How many decisions of the last day ended so; 0 where none did."""
    return f'sum(increase(wabus_notices_total{{outcome="{outcome}"}}[1d])) or vector(0)'


NOTICES: Final = Board(
    "notices",
    "Notices",
    "Automatic messages of all shops. Of one customer, and why: wabus why PHONE.",
    (
        number(
            "Queued in the last day",
            "Automatic messages that were let out. Normal: as many as orders and carts cause.",
            "short",
            _decided("queued"),
            _GREEN,
            6,
        ),
        number(
            "Skipped in the last day",
            "Not sent, for a reason: no consent, cap, too late. Normal: many where few customers opted in.",
            "short",
            _decided("skipped"),
            _GREEN,
            6,
        ),
        number(
            "Still to be decided",
            "Automatic messages of later, too: quiet hours, caps. Normal: falls after the shops' nights.",
            "short",
            "sum(max by (kind) (wabus_notices_pending)) or vector(0)",
            _GREEN,
            6,
        ),
        number(
            "Decided late",
            "95 of 100 decisions of five minutes were in time or less late. Normal: below 10 s.",
            "s",
            f"histogram_quantile(0.95, sum by (le) (rate({_LATENESS}_bucket[5m])))",
            above(300, warn=60),
            6,
        ),
        Panel(
            "Decisions each second, by kind",
            "Queued goes out, postponed is decided again, skipped is over. Normal: few are postponed by day.",
            "cps",
            {"{{kind}} {{outcome}}": rate("wabus_notices_total", "kind", "outcome")},
            width=12,
        ),
        Panel(
            "Skipped of those decided for good",
            "Share by kind. Normal: near 0 for orders, much for carts; wabus notice list says why.",
            "percentunit",
            {"{{kind}}": f"({_SKIPPED} or 0 * {_QUEUED}) / {_OVER}"},
            width=12,
        ),
        Panel(
            "Still to be decided, by kind",
            "Normal: rises in the night, falls in the morning.",
            "short",
            {"{{kind}}": "max by (kind) (wabus_notices_pending)"},
        ),
        Panel(
            "From due to decided, by kind",
            "95 of 100 are faster. Normal: below 10 s; five minutes for long is an alert.",
            "s",
            {"{{kind}}": quantile(0.95, _LATENESS, "kind")},
        ),
        Panel(
            "Nudges of the notifier waiting",
            "Each lets a notifier look at what is due. Normal: near 0.",
            "short",
            {"{{queue}}": 'max by (queue) (wabus_queue_depth{queue="notifier"})'},
        ),
        Panel(
            "Requests to WhatsApp each second, by lane",
            "Orders' messages go by utility; reminders and campaigns by bulk. Normal: nearly all sent.",
            "reqps",
            {"{{lane}} {{outcome}}": rate(f"wabus_sends_total{{{_LANES}}}", "lane", "outcome")},
        ),
        Panel(
            "Refused by WhatsApp each second, by lane",
            "Normal: few; template and parameter mean that a shop's message is wrong.",
            "reqps",
            {
                "{{lane}} {{error_class}}": rate(
                    f'wabus_sends_total{{{_LANES},error_class!="none"}}', "lane", "error_class"
                )
            },
        ),
        Panel(
            "Time to decide a batch",
            "95 of 100 nudges are worked faster. Normal: below 1 s.",
            "s",
            {"until done": quantile(0.95, "wabus_message_duration_seconds", where=_NOTIFIER)},
        ),
        Panel(
            "Consent each second",
            "Customers who want something from now on, or no longer. Normal: more yes than no.",
            "cps",
            {"{{kind}}: {{value}}": rate("wabus_consent_changes_total", "kind", "value")},
            width=12,
        ),
        Panel(
            "Refusals each second, by who told",
            "Normal: few; a rise after reminders or a campaign means that they annoy.",
            "cps",
            {"{{source}}": rate('wabus_consent_changes_total{value="no"}', "source")},
            width=12,
        ),
    ),
)
