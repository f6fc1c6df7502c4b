"""RabbitMQ over AMQP alone: reached, new enough, with our topology, consumers, and taking publications.

The management plugin is asked for bindings alone, where it is named: not every server has one.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shared.amqp.client import open_session
from shared.amqp.delivery import Publication
from shared.amqp.session import Comparison, Session
from shared.amqp.topology import DLQ_HANDLER, ENRICHED, WORK_QUEUES, build_topology
from shared.durations import DURATIONS
from shared.errors import BrokerUnavailable, WabusError
from shared.masking import mask_secrets, mask_url
from shared.settings.server_urls import read_server_url
from shared.settings.settings import Settings
from workers.cli.diagnosis.bindings import Bindings, look_at_bindings
from workers.cli.diagnosis.finding import Finding, Level, within_patience
from workers.cli.publishing import open_publisher

SUBJECT: Final = "rabbitmq"
_MINIMUM: Final = (3, 10)
_START: Final = "start it (`wabus stack up` for a local one), or correct RABBITMQ_URL"
_DECLARE: Final = "wabus topology declare"
#: A server with an alarm reads no publication until the alarm is over.
_CONFIRM_S: Final = 2.0
_PROBE: Final = Publication("", "wabus.doctor", b"{}", "Probe", "doctor", "doctor")
_NAMED: Final = 3


async def diagnose_rabbitmq(settings: Settings) -> list[Finding]:
    """The server and what is declared on it."""

    async def look(found: list[Finding]) -> None:
        url = settings.rabbitmq_url.get_secret_value()
        try:
            async with open_session(url) as session:
                await _look_at_server(session, found)
                await _look_at_queues(session, settings, found)
            await _look_at_publishing(settings, found)
        except BrokerUnavailable as error:
            found.append(_unreached(error, url))

    return await within_patience(SUBJECT, _START, look)


async def _look_at_server(session: Session, found: list[Finding]) -> None:
    started = time.perf_counter()
    await session.ping()
    latency_ms = round((time.perf_counter() - started) * 1000, 1)
    version = session.server_version
    old = tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < _MINIMUM
    found.append(
        Finding(
            SUBJECT,
            "reached",
            Level.ERROR if old else Level.OK,
            f"version {version}, {latency_ms} ms",
            "upgrade it: 3.10 or newer is needed" if old else None,
            version=version,
            latency_ms=latency_ms,
        )
    )


async def _look_at_queues(session: Session, settings: Settings, found: list[Finding]) -> None:
    wanted = build_topology(enriched_queue=settings.enriched_queue)
    compared = await session.compare(wanted)
    missing = compared.missing
    bindings = await look_at_bindings(settings, wanted)
    found.extend([*_topology(compared), _bindings(bindings)])
    if not any(item.level is Level.ERROR for item in found if item.check == "topology"):
        detail = f"{len(wanted.exchanges)} exchanges and {len(wanted.queues)} queues are there"
        found.append(Finding(SUBJECT, "topology", Level.OK, detail))
    ours = [name for name in (*WORK_QUEUES, DLQ_HANDLER) if f"queue {name}" not in missing]
    others = [ENRICHED] if settings.enriched_queue and f"queue {ENRICHED}" not in missing else []
    alone = await _queues_without_consumer(session, [*ours, *others])
    found.extend(_lonely(name, depth) for name, depth in alone)
    if ours and not alone:
        found.append(
            Finding(SUBJECT, "consumers", Level.OK, f"all {len(ours) + len(others)} queues have one")
        )


async def _queues_without_consumer(session: Session, names: Sequence[str]) -> list[tuple[str, int]]:
    """Names and depths."""
    states = await session.queue_states(names)
    return [(name, state.messages) for name, state in states.items() if not state.consumers]


def _lonely(name: str, depth: int) -> Finding:
    """An idle queue of ours waits for its worker; one that fills does harm. Enriched messages are others'."""
    detail = f"{name} has none, {depth} messages wait"
    if name == ENRICHED:
        mend = "start what consumes it, or set ENRICHED_QUEUE=off and delete it"
        return Finding(SUBJECT, "consumers", Level.WARN, detail, mend)
    level = Level.ERROR if depth else Level.WARN
    return Finding(SUBJECT, "consumers", level, detail, f"wabus worker {name.partition('.')[0]}")


def _topology(compared: Comparison) -> list[Finding]:
    """What is not as it must be; empty where all is."""
    found = []
    if compared.missing:
        detail = f"missing: {_some(compared.missing)}"
        found.append(Finding(SUBJECT, "topology", Level.ERROR, detail, _DECLARE))
    if compared.different:
        mend = f"delete it when it is empty (rabbitmqctl delete_queue NAME), then {_DECLARE}"
        found.append(Finding(SUBJECT, "topology", Level.ERROR, "; ".join(compared.different[:_NAMED]), mend))
    if compared.forbidden:
        detail = f"not compared, names apart, for want of the right to configure {_some(compared.forbidden)}"
        mend = "rabbitmqctl set_permissions -p HOST USER '.*' '.*' '.*'"
        found.append(Finding(SUBJECT, "topology", Level.WARN, detail, mend))
    return found


def _bindings(bindings: Bindings) -> Finding:
    """What cannot be seen is no warning: each start of a worker binds anew."""
    if bindings.lost:
        return Finding(SUBJECT, "bindings", Level.ERROR, f"lost: {_some(bindings.lost)}", _DECLARE)
    return Finding(SUBJECT, "bindings", Level.OK, bindings.told)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


async def _look_at_publishing(settings: Settings, found: list[Finding]) -> None:
    """Publish a message to nowhere as workers do: a server with an alarm reads none and says which alarm."""
    error: WabusError | None
    held_by = ""
    try:
        async with open_publisher(settings, replace(DURATIONS, publish_confirm_s=_CONFIRM_S)) as publisher:
            (error,) = await publisher.publish([_PROBE])
            held_by = publisher.held_by
    except BrokerUnavailable as away:
        error = away
    if error is None:
        found.append(Finding(SUBJECT, "publishing", Level.OK, "confirmed"))
        return
    detail = f"publishers are held: RabbitMQ is {held_by}" if held_by else str(error)
    mend = "rabbitmq-diagnostics alarms; free memory or disk space on its nodes"
    found.append(Finding(SUBJECT, "publishing", Level.ERROR, detail, mend))


def _unreached(error: BrokerUnavailable, url: str) -> Finding:
    said = error.__cause__ or error
    text = mask_secrets(" ".join(f"{type(said).__name__}: {said}".split()))[:300].rstrip(": ")
    mend = _START
    if "Connection.OpenOk" in text:  # so the client tells that the server closed instead of opening
        host = read_server_url(url).path[1:] or "/"
        text = f"the virtual host {host} is not there, or not for this user"
        mend = f"rabbitmqctl add_vhost {host}; rabbitmqctl set_permissions -p {host} USER '.*' '.*' '.*'"
    elif "ACCESS_REFUSED" in text:
        mend = "correct the user or the password in RABBITMQ_URL"
    return Finding(SUBJECT, "reached", Level.ERROR, f"{mask_url(url)}: {text}", mend)
