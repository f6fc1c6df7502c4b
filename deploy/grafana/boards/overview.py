"""The first look: does all of it work, and what do customers and agents feel?"""

from typing import Final

from deploy.grafana.panels import Board, Panel, above, number, quantile, rate
from workers.registry import WORKER_NAMES

_RESOLVER: Final = 'worker="inbound-resolver"'
_REPLIES: Final = 'worker="outbound-sender",lane="reply"'
_SENT: Final = 'wabus_sends_total{error_class="none"}'
_UPDATER: Final = 'worker="status-updater"'

OVERVIEW: Final = Board(
    "overview",
    "Overview",
    "Does all of it work, and what do customers and agents feel?",
    (
        number(
            "Alerts",
            "Alerts that fire now. Normal: 0. What to do at each is in deploy/runbook.md.",
            "none",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            above(1),
        ),
        number(
            "Workers running",
            "Processes that answer Prometheus. Normal: as many as were started, at least one of each kind.",
            "none",
            'sum(up{job="wabus"})',
            ((None, "red"), (len(WORKER_NAMES), "green")),
        ),
        number(
            "Messages waiting",
            "Messages in all queues that no worker has taken yet. Normal: near 0, or falling after a burst.",
            "short",
            "sum(max by (queue) (wabus_queue_depth))",
            above(10_000, warn=1_000),
        ),
        number(
            "Dead letters",
            "Messages that could not be worked and wait for a person. Normal: 0; wabus dlq list shows them.",
            "short",
            "max(wabus_dlq_pending)",
            above(1),
        ),
        number(
            "Paused numbers",
            "Business numbers that send nothing. Normal: 0; wabus number list names them.",
            "none",
            "max(wabus_number_paused)",
            above(1),
        ),
        number(
            "Active conversations",
            "Conversations with customers that are open. Normal: follows the hours of the contact centre.",
            "short",
            "max(wabus_active_conversations)",
            ((None, "blue"),),
        ),
        Panel(
            "Messages worked each second",
            "What each kind of worker finishes. Normal: follows the traffic, never 0 while messages wait.",
            "mps",
            {"{{worker}}": rate("wabus_messages_processed_total", "worker")},
            width=12,
        ),
        Panel(
            "Promises: how fast the error budget is used",
            "At 1, just as much is late or fails as may. Normal: below 1; above 14.4 someone is woken.",
            "none",
            {"{{slo}}": "max by (slo) (wabus:slo_burn_rate:1h)"},
            width=12,
        ),
        Panel(
            "A customer's message, until the agent's side has it",
            "95 of 100 are faster. Normal: waits below 2.5 s, is worked within 1 s.",
            "s",
            {
                "waits in its queue": quantile(0.95, "wabus_queue_wait_seconds", where=_RESOLVER),
                "is worked": quantile(0.95, "wabus_message_duration_seconds", where=_RESOLVER),
            },
        ),
        Panel(
            "An agent's reply, until WhatsApp has taken it",
            "95 of 100 are faster. Normal: waits below 5 s, is worked within 5 s.",
            "s",
            {
                "waits in its queue": quantile(0.95, "wabus_queue_wait_seconds", where=_REPLIES),
                "is worked": quantile(0.95, "wabus_message_duration_seconds", where=_REPLIES),
            },
        ),
        Panel(
            "A status (sent, delivered, read), until it is stored",
            "95 of 100 are faster. Normal: waits below 5 s, is worked within 1 s.",
            "s",
            {
                "waits in its queue": quantile(0.95, "wabus_queue_wait_seconds", where=_UPDATER),
                "is worked": quantile(0.95, "wabus_message_duration_seconds", where=_UPDATER),
            },
        ),
        Panel(
            "Conversations opened and expired each second",
            "New ones, and those closed because nobody wrote. Normal: about as many of each over a day.",
            "cps",
            {
                "opened": rate("wabus_conversations_created_total"),
                "expired": rate("wabus_conversations_expired_total"),
            },
            width=12,
        ),
        Panel(
            "Requests to WhatsApp that fail",
            "Share of all requests to the Cloud API. Normal: below 2 %.",
            "percentunit",
            {"failed": f"1 - {rate(_SENT)} / {rate('wabus_sends_total')}"},
            width=12,
        ),
        Panel(
            "What tells who a customer is, each second",
            "Phones and ids named together. Normal: nearly all known; wabus profile show tells of a doubt.",
            "ops",
            {"{{outcome}}": rate("wabus_identity_evidence_total", "outcome")},
            width=12,
        ),
        Panel(
            "Rows of before whose customer is not read yet",
            "Read by the scheduler after an upgrade from schema 1. Normal: falling, and 0 from then on.",
            "short",
            {"{{table}}": "max by (table) (wabus_identity_unnamed_rows)"},
            width=12,
        ),
    ),
)
