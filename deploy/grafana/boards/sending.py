"""Requests to WhatsApp's Cloud API: how many, how fast, and what it refuses."""

from typing import Final

from deploy.grafana.panels import Board, Kind, Panel, quantile, rate
from shared.observability.metrics import CIRCUIT_STATES

_FAILED: Final = 'wabus_sends_total{error_class!="none"}'

SENDING: Final = Board(
    "sending",
    "Sending",
    "Requests to WhatsApp's Cloud API: how many, how fast, what it refuses, and what is held back.",
    (
        Panel(
            "Requests each second, by what came of them",
            "Normal: nearly all are sent; ambiguous means that no answer came.",
            "reqps",
            {"{{outcome}}": rate("wabus_sends_total", "outcome")},
        ),
        Panel(
            "Requests each second, by lane",
            "Agents' replies, utility messages, campaigns (bulk). Normal: bulk never pushes replies aside.",
            "reqps",
            {"{{lane}}": rate("wabus_sends_total", "lane")},
        ),
        Panel(
            "Errors each second, by class",
            "Why requests fail. Normal: few, of the recipient (undeliverable, window); auth pauses a number.",
            "reqps",
            {"{{error_class}}": rate(_FAILED, "error_class")},
        ),
        Panel(
            "Requests that end in an error, by class",
            "Share of all requests of five minutes. Normal: below 2 % in all, most of the recipient.",
            "percentunit",
            {"{{error_class}}": "wabus:send_errors:ratio5m"},
        ),
        Panel(
            "Answer time of the Cloud API",
            "Of one request; half, and 95 of 100, are faster. Normal: below 1 s.",
            "s",
            {
                "half, {{lane}}": quantile(0.5, "wabus_send_duration_seconds", "lane"),
                "95 of 100, {{lane}}": quantile(0.95, "wabus_send_duration_seconds", "lane"),
            },
        ),
        Panel(
            "Wait for the number's rate",
            "Each number sends so many a second; 95 of 100 wait less. Normal: near 0 for replies.",
            "s",
            {"{{lane}}": quantile(0.95, "wabus_rate_limit_wait_seconds", "lane")},
        ),
        Panel(
            "Wait in the queue, by lane",
            "From publishing to a sender's hands; 95 of 100 are faster. Normal: replies below 5 s.",
            "s",
            {
                "{{lane}}": quantile(
                    0.95, "wabus_queue_wait_seconds", "lane", where='worker="outbound-sender"'
                )
            },
        ),
        Panel(
            "Circuit breakers",
            "Whether a number may send. Normal: closed; open means that WhatsApp fails and messages wait.",
            "none",
            {"{{phone_number_id}}": "max by (phone_number_id) (wabus_circuit_state)"},
            Kind.STATES,
            12,
            words={
                CIRCUIT_STATES["closed"]: ("closed: sends", "green"),
                CIRCUIT_STATES["half_open"]: ("half open: tries", "orange"),
                CIRCUIT_STATES["open"]: ("open: waits", "red"),
            },
        ),
        Panel(
            "Messages held back, by reason",
            "Stored until they may go out. Normal: few, not growing; number_paused waits for a person.",
            "short",
            {"{{reason}}": "max by (reason) (wabus_deferred_messages)"},
            width=12,
        ),
        Panel(
            "Numbers paused",
            "Business numbers that send nothing, and for how long. Normal: none; wabus number list says why.",
            "s",
            {
                "{{phone_number_id}}": "time()"
                " - max by (phone_number_id) (wabus_number_paused_since_timestamp_seconds)"
            },
        ),
        Panel(
            "Time until a message is with its customer",
            "From sent to delivered, of what arrives; half, and 95 of 100, are faster. Normal: below 1 min.",
            "s",
            {
                "half, {{lane}}": quantile(0.5, "wabus_delivery_seconds", "lane"),
                "95 of 100, {{lane}}": quantile(0.95, "wabus_delivery_seconds", "lane"),
            },
        ),
        Panel(
            "Status events each second",
            "Sent, delivered and read, by what became of them. Normal: applied; unmatched: tried again.",
            "eps",
            {"{{outcome}}": rate("wabus_status_events_total", "outcome")},
        ),
        Panel(
            "Work of a sender on one message",
            "From its hands until done, the request included; 95 of 100 are faster. Normal: below 5 s.",
            "s",
            {
                "{{lane}}": quantile(
                    0.95, "wabus_message_duration_seconds", "lane", where='worker="outbound-sender"'
                )
            },
        ),
    ),
)
