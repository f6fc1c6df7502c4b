"""Spans, log lines and stories of messages: what each says and where it stands (INTERFACE 6, 9)."""

from typing import Final

from tests.mutants.mutation import Mutation

_SPANS: Final = "tests/integration/observability/test_spans.py"
_WHOLE: Final = (f"{_SPANS}::test_one_trace_leads_from_the_webhook_to_read",)
_DEATH: Final = (f"{_SPANS}::test_death_and_replay_stay_in_the_trace",)
_AWAY: Final = ("tests/e2e/test_collector_away.py",)
_STEPS: Final = ("tests/unit/test_story_steps.py",)
_ONE_TRACE: Final = "INTERFACE 2 the trace is carried through: one from webhook to read"

MUTATIONS: Final = (
    Mutation(
        "a publication is a root of its trace",
        "shared/amqp/hops.py",
        "read_trace(item.correlation_id, known or item.headers.get(TRACEPARENT))",
        "read_trace(item.correlation_id)",
        _ONE_TRACE,
        _WHOLE,
    ),
    Mutation(
        "a publication's header names another span than its own",
        "shared/amqp/properties.py",
        "TRACEPARENT: item.traceparent or trace.traceparent(),",
        "TRACEPARENT: trace.traceparent(),",
        _ONE_TRACE,
        _WHOLE,
    ),
    Mutation(
        "a status is told beside the send that it is about",
        "shared/messaging/messages/message_spans.py",
        "attempt_span_id(message.id, attempt) if attempt else None",
        "None",
        _ONE_TRACE,
        _WHOLE,
    ),
    Mutation(
        "what is sent forgets its trace",
        "workers/outbound_sender/intake/queries.sql",
        "           given.w3c_trace_id\n",
        "           null::uuid\n",
        _ONE_TRACE,
        ("tests/integration/messaging/messages/test_cli_trace.py",),
    ),
    Mutation(
        "what is put off starts a trace of its own",
        "shared/durable/deferral.py",
        "        **traceparent_headers(delivery),\n",
        "",
        _ONE_TRACE,
        (f"{_SPANS}::test_what_was_put_off_goes_on_below_what_put_it_off",),
    ),
    Mutation(
        "a retry is a span that went well",
        "shared/amqp/hops.py",
        'span.end({"wabus.outcome": "retry", "wabus.reason": reason}, reason)',
        'span.end({"wabus.outcome": "retry", "wabus.reason": reason})',
        "INTERFACE 9 a failure is told with its reason",
        (f"{_SPANS}::test_a_retry_stands_below_the_attempt_that_failed",),
    ),
    Mutation(
        "a command's replay is not told",
        "workers/cli/dlq.py",
        "        exporting_spans(settings, PROGRAM),\n",
        "",
        _ONE_TRACE,
        _DEATH,
    ),
    Mutation(
        "a routing key tells the customer's number",
        "shared/amqp/hops.py",
        "        return mask_address(routing_key)\n",
        "        return routing_key\n",
        "INTERFACE 9 addresses are masked",
        _WHOLE,
    ),
    Mutation(
        "a stop waits for the collector",
        "shared/observability/span_export.py",
        "async with asyncio.timeout(_LAST_S):",
        "async with asyncio.timeout(None):",
        "INTERFACE 6 SIGTERM drains, finishes, exits 0",
        _AWAY,
    ),
    Mutation(
        "OpenTelemetry is loaded by everyone",
        "shared/observability/span_export.py",
        "import asyncio\n",
        "import asyncio\nimport opentelemetry.sdk.trace\n",
        "INTERFACE 1 no endpoint, no spans and no cost",
        (f"{_SPANS}::test_without_an_endpoint_neither_spans_nor_their_exporter_are_loaded",),
    ),
    Mutation(
        "a send's line does not say of which number",
        "workers/outbound_sender/calling/telling.py",
        "            phone_number_id=message.number,\n            message_id=message.id,\n"
        "            lane=message.lane,\n            attempt=attempt,\n",
        "            message_id=message.id,\n            lane=message.lane,\n            attempt=attempt,\n",
        "INTERFACE 9 a line for each send",
        _AWAY,
    ),
    Mutation(
        "milliseconds count from the first step",
        "shared/messaging/messages/steps.py",
        '"ms": _ms(known[place - 1][0], at) if place else 0,',
        '"ms": _ms(known[0][0], at),',
        "INTERFACE 6 message show: milliseconds between steps",
        _STEPS,
    ),
)
