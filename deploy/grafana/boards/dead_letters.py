"""What could not be worked: how much of it, why, and what goes wrong on the way there."""

from typing import Final

from deploy.grafana.panels import Board, Panel, above, number, quantile, rate

_HANDLER: Final = 'worker="dlq-handler"'

DEAD_LETTERS: Final = Board(
    "dead-letters",
    "Dead letters",
    "What could not be worked. wabus dlq list shows each, with its reason and how to replay it.",
    (
        number(
            "Waiting for a person",
            "Dead letters that nobody has replayed or dismissed. Normal: 0.",
            "short",
            "max(wabus_dlq_pending)",
            above(1),
            6,
        ),
        number(
            "Stored in the last hour",
            "Dead letters that came in, of all reasons. Normal: 0.",
            "short",
            "sum(increase(wabus_dlq_messages_total[1h])) or vector(0)",
            above(10, warn=1),
            6,
        ),
        number(
            "Lost and found in the last hour",
            "Messages that had vanished from RabbitMQ and were published again. Normal: 0.",
            "short",
            'sum(increase(wabus_retries_total{worker="scheduler",reason="lost"}[1h])) or vector(0)',
            above(1),
            6,
        ),
        number(
            "Not stored yet",
            "Dead letters that wait in RabbitMQ for the dlq-handler. Normal: 0.",
            "short",
            'max(wabus_queue_depth{queue="dlq-handler"})',
            above(100, warn=1),
            6,
        ),
        Panel(
            "Dead letters each second, by reason",
            "What the dlq-handler stores. Normal: 0; one a second for five minutes is an alert.",
            "mps",
            {"{{reason}}": rate("wabus_dlq_messages_total", "reason")},
            width=12,
        ),
        Panel(
            "Messages given up each second, by worker",
            "Which worker could not work them. Normal: 0.",
            "mps",
            {"{{worker}}": rate('wabus_messages_processed_total{outcome="dead"}', "worker")},
            width=12,
        ),
        Panel(
            "Retries each second, by worker and reason",
            "What may die next: after its last try a message is dead. Normal: 0, a few after a fault.",
            "mps",
            {"{{worker}} {{reason}}": rate("wabus_retries_total", "worker", "reason")},
        ),
        Panel(
            "Payloads mended each second",
            "Messages with a small fault that was put right. Normal: 0; else a publisher should look.",
            "mps",
            {"{{worker}} {{kind}}": rate("wabus_payload_repairs_total", "worker", "kind")},
        ),
        Panel(
            "Rows that a job of the scheduler leaves alone",
            "Rows whose work fails each time. Normal: 0; wabus doctor names them and what mends them.",
            "short",
            {"{{exported_job}}": "max by (exported_job) (wabus_rows_set_aside)"},
        ),
        Panel(
            "Time until a dead letter is stored",
            "95 of 100 are faster. Normal: below 1 s.",
            "s",
            {
                "waits in its queue": quantile(0.95, "wabus_queue_wait_seconds", where=_HANDLER),
                "is stored": quantile(0.95, "wabus_message_duration_seconds", where=_HANDLER),
            },
        ),
    ),
)
