"""What waits where, who takes it, and how long that lasts."""

from typing import Final

from deploy.grafana.panels import Board, Panel, mean, quantile, rate

#: Queues in which copies wait for their next try.
_TIERS: Final = "[.]retry[.]"

QUEUES: Final = Board(
    "queues",
    "Queues",
    "What waits in RabbitMQ, which worker takes it, and how long that lasts.",
    (
        Panel(
            "Messages waiting",
            "Messages that no worker has taken yet. Normal: near 0, or falling; 10,000 is an alert.",
            "short",
            {"{{queue}}": "max by (queue) (wabus_queue_depth)"},
        ),
        Panel(
            "Oldest message",
            "For how long the oldest has waited, or is at work. Normal: below 15 s; 120 s is an alert.",
            "s",
            {"{{queue}}": "min by (queue) (wabus_queue_oldest_seconds)"},
        ),
        Panel(
            "Messages taken, not finished",
            "Messages that RabbitMQ has handed to workers. Normal: follows the traffic, never stands still.",
            "short",
            {
                "{{queue}}": "max by (queue)"
                f' (rabbitmq_detailed_queue_messages_unacked{{queue!~".*{_TIERS}.*"}})'
            },
        ),
        Panel(
            "Messages that wait for another try",
            "Copies in delay queues: 5 s, 30 s, 2 min, 10 min after a fault. Normal: 0, a few after a fault.",
            "short",
            {"{{queue}}": f'max by (queue) (rabbitmq_detailed_queue_messages{{queue=~".*{_TIERS}.*"}}) > 0'},
        ),
        Panel(
            "Wait in the queue",
            "From publishing to a worker's hands; 95 of 100 are faster. Normal: below 2.5 s, bulk 10 s.",
            "s",
            {"{{worker}} {{lane}}": quantile(0.95, "wabus_queue_wait_seconds", "worker", "lane")},
        ),
        Panel(
            "Work on one message",
            "From a worker's hands until done; 95 of 100 are faster. Normal: below 1 s, replies below 5 s.",
            "s",
            {"{{worker}} {{lane}}": quantile(0.95, "wabus_message_duration_seconds", "worker", "lane")},
        ),
        Panel(
            "Messages worked each second",
            "By what became of them. Normal: nearly all are ack (done); retry, defer and dead are rare.",
            "mps",
            {"{{worker}} {{outcome}}": rate("wabus_messages_processed_total", "worker", "outcome")},
        ),
        Panel(
            "Consumers of each queue",
            "Workers that take messages from it. Normal: at least 1 each; 0 is an alert after a minute.",
            "none",
            {
                "{{queue}}": "max by (queue)"
                f' (rabbitmq_detailed_queue_consumers{{queue!~".*{_TIERS}.*|inbound[.]enriched"}})'
            },
        ),
        Panel(
            "Messages in workers' hands",
            "What all replicas of a worker work at now. Normal: follows the traffic, back to 0 without any.",
            "short",
            {"{{worker}}": "sum by (worker) (wabus_inflight)"},
        ),
        Panel(
            "Messages worked together",
            "Mean size of a batch. Normal: 1 with little traffic, tens under load.",
            "none",
            {"{{worker}}": mean("wabus_batch_size", "worker")},
        ),
        Panel(
            "Retries each second",
            "Copies sent to a delay queue. Normal: 0; a few while a server or WhatsApp has trouble.",
            "mps",
            {"{{worker}} {{reason}}": rate("wabus_retries_total", "worker", "reason")},
        ),
        Panel(
            "Repeated messages each second",
            "Messages that were done already, and are dropped. Normal: near 0; more after a restart.",
            "mps",
            {"{{worker}}": rate("wabus_duplicate_messages_total", "worker")},
        ),
        Panel(
            "Oldest event not yet published",
            "Age of what the database holds for RabbitMQ. Normal: below 10 s; 60 s is an alert.",
            "s",
            {"age": "max(wabus_outbox_oldest_seconds)"},
        ),
    ),
)
