"""`wabus sandbox`: the simulated Cloud API as a program.

Owns options, address on stdout and signals; the sandbox itself is `deploy.sandbox`.
"""

import asyncio
import os
import signal

import click
import orjson
import uvloop

from deploy.sandbox import Sandbox, SandboxSettings
from deploy.sandbox.amqp_statuses import AmqpStatuses
from deploy.sandbox.status_emitter import StatusSink
from deploy.sandbox.webhook_statuses import WebhookStatuses
from shared.errors import SettingsError
from shared.settings.environment import read_variable
from workers.cli.operation import warn_of_unknown

_EPILOG = """\b
Example:
  wabus sandbox --port 8090 --token secret --statuses amqp
  WHATSAPP_API_URL=http://127.0.0.1:8090 wabus worker outbound-sender"""


@click.command(epilog=_EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=0, show_default=True, type=click.IntRange(0, 65_535), help="0 picks a free one."
)
@click.option("--token", help="The access token it accepts. [default: WHATSAPP_ACCESS_TOKEN, else any]")
@click.option(
    "--statuses",
    type=click.Choice(["amqp"]),
    help="Publish statuses, and changes of customers, on the server of RABBITMQ_URL.",
)
@click.option("--webhook", metavar="URL", help="Post them there, where they are not published.")
@click.option(
    "--latency-ms", default=0.0, show_default=True, type=click.FloatRange(0), help="Before each answer."
)
@click.option("--seed", type=int, help="Makes delays, reordering and repeats of statuses repeatable.")
@click.option("--json", "as_json", is_flag=True, help='Print the URL as {"url": …}.')
def sandbox(
    host: str,
    port: int,
    token: str | None,
    statuses: str | None,
    webhook: str | None,
    latency_ms: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Run a simulated WhatsApp Cloud API; its URL is the first line printed.

    The last three digits of a recipient choose its behaviour: 000 to 899 normal, 901 to 921 faults. It names
    customers by phone, in WhatsApp's notation, and by id; PUT /_sandbox/settings {"hide_phones": true} by id
    alone. POST /_sandbox/customers/change {"from": A, "to": B} changes a number, and tells it. What it
    accepted is at GET /_sandbox/messages?to= and /_sandbox/stats, kept in memory (the newest 1,000,000).
    """
    warn_of_unknown()
    accepted = token or read_variable(os.environ, "WHATSAPP_ACCESS_TOKEN", secret=True)
    settings = SandboxSettings(token=accepted, latency_ms=latency_ms)
    sink = _choose_sink(statuses, webhook)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, port, settings, sink, seed, as_json))


def _choose_sink(statuses: str | None, webhook: str | None) -> StatusSink | None:
    try:
        url = read_variable(os.environ, "RABBITMQ_URL", secret=True)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    if statuses == "amqp" and url:
        return AmqpStatuses(url)
    if webhook:
        return WebhookStatuses(webhook)
    if statuses == "amqp":
        raise click.UsageError("--statuses amqp needs RABBITMQ_URL")
    return None


async def _serve(
    host: str, port: int, settings: SandboxSettings, sink: StatusSink | None, seed: int | None, as_json: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Sandbox.running(host=host, port=port, settings=settings, sink=sink, seed=seed) as running:
            click.echo(orjson.dumps({"url": running.url}) if as_json else running.url)
            await running.serve_until(stop)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror}") from error
