"""Campaigns: how fast they go out, what holds them back, and whether agents feel them."""

from typing import Final

from deploy.grafana.panels import Board, Panel, quantile, rate

_BATCHER: Final = 'worker="broadcast-batcher"'

CAMPAIGNS: Final = Board(
    "campaigns",
    "Campaigns",
    "All campaigns together. Of one: wabus campaign status ID.",
    (
        Panel(
            "Campaign messages each second",
            "Requests to WhatsApp by what came of them. Normal: nearly all sent, at the number's rate.",
            "reqps",
            {"{{outcome}}": rate('wabus_sends_total{lane="bulk"}', "outcome")},
        ),
        Panel(
            "Campaign messages refused each second",
            "Why requests fail. Normal: few; template pauses the campaign, spam the number's marketing.",
            "reqps",
            {"{{error_class}}": rate('wabus_sends_total{lane="bulk",error_class!="none"}', "error_class")},
        ),
        Panel(
            "Campaign messages waiting",
            "Written, but not yet in a sender's hands. Normal: up to ten seconds of the number's rate.",
            "short",
            {"{{queue}}": 'max by (queue) (wabus_queue_depth{queue="outbound-sender.bulk"})'},
        ),
        Panel(
            "Wait of campaign messages",
            "95 of 100 wait less. Normal: up to 10 s in the queue, by design.",
            "s",
            {
                "in the queue": quantile(0.95, "wabus_queue_wait_seconds", where='lane="bulk"'),
                "for the number's rate": quantile(0.95, "wabus_rate_limit_wait_seconds", where='lane="bulk"'),
            },
        ),
        Panel(
            "Agents' replies meanwhile",
            "95 of 100 wait less. Normal: the same with and without a campaign, below 5 s.",
            "s",
            {
                "in the queue": quantile(0.95, "wabus_queue_wait_seconds", where='lane="reply"'),
                "for the number's rate": quantile(
                    0.95, "wabus_rate_limit_wait_seconds", where='lane="reply"'
                ),
            },
        ),
        Panel(
            "Messages held back, by reason",
            "Of all lanes, stored until they may go out. Normal: few, and not growing.",
            "short",
            {"{{reason}}": "max by (reason) (wabus_deferred_messages)"},
        ),
        Panel(
            "Requests of operators each second",
            "Launches, pauses, resumes and cancels, by what became of them. Normal: ack.",
            "mps",
            {"{{outcome}}": rate(f"wabus_messages_processed_total{{{_BATCHER}}}", "outcome")},
        ),
        Panel(
            "Requests of operators waiting",
            "Launches and the like that no worker has taken yet. Normal: 0.",
            "short",
            {"{{queue}}": 'max by (queue) (wabus_queue_depth{queue="broadcast-batcher"})'},
        ),
        Panel(
            "Time to take in a request",
            "95 of 100 are faster. Normal: below 1 s, several for a launch of tens of thousands.",
            "s",
            {"until done": quantile(0.95, "wabus_message_duration_seconds", where=_BATCHER)},
        ),
    ),
)
