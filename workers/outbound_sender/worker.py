"""Composition root of the outbound sender."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

from shared.amqp.delivery import Delivery
from shared.amqp.topology import LANES
from shared.commerce.notices.moving import move_notices
from shared.consuming.collector import Collector
from shared.consuming.route import Concurrent, Route
from shared.coordination.rate import RateLimiter
from shared.coordination.rate_shared import SharedRates
from shared.errors import SettingsError
from shared.http_client import find_proxy
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.following import Follower
from shared.messaging.messages import Tracker
from shared.messaging.numbers.breaker_store import CircuitStore
from shared.running.kit import Kit, Worker, WorkerSpec
from shared.settings.settings import Settings
from workers.outbound_sender.calling.cloud_api import CloudApi
from workers.outbound_sender.chains import Chains
from workers.outbound_sender.claiming.store import ClaimStore
from workers.outbound_sender.intake.addressing import AddressBook
from workers.outbound_sender.intake.admission import Admission
from workers.outbound_sender.intake.candidates import Candidate
from workers.outbound_sender.intake.shares import Shares
from workers.outbound_sender.intake.store import IntakeStore
from workers.outbound_sender.pacing import Pacer
from workers.outbound_sender.results.store import ResultStore
from workers.outbound_sender.results.telling import Teller
from workers.outbound_sender.sender import IntakeLine, OutboundSender, Taken
from workers.outbound_sender.sending import Sending
from workers.outbound_sender.watch import Watch

#: Deliveries of each lane at a time, and how many of them wait for a turn, a permit or an answer. The others
#: are being taken in, or put off: a burst must be put off faster than others can come to wait behind it.
_PREFETCH = 1000
_HANDS = 200
_COLLECT_S = 0.002
_COLLECT = 64
#: While many messages are in hand, more are claimed, and written, together: each time costs as much as twenty
#: messages that are put off.
_COLLECT_BUSY_S = 0.04
#: Batches of deliveries taken in together.
_BATCHES = 20

_Intake: TypeAlias = Collector[Sequence[Candidate], Taken]


@dataclass(frozen=True, slots=True)
class _Stores:
    """What claims, results and what follows of them stand on."""

    claims: ClaimStore
    results: ResultStore
    follower: Follower

    @classmethod
    def of(cls, kit: Kit) -> Self:
        settings, durations = kit.settings, kit.durations
        configured = {settings.whatsapp_phone_number_id, *settings.whatsapp_numbers}
        circuits = CircuitStore(kit.metrics, durations, configured)
        rates = SharedRates(kit.redis, durations)
        cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=durations)
        follower = Follower(kit.database, kit.outbox, cache, kit.metrics)
        tracker = Tracker(kit.database, kit.outbox, kit.metrics, durations, rates, follower, move_notices)
        return cls(
            ClaimStore(kit.database, circuits, durations),
            ResultStore(kit.database, tracker, circuits, kit.outbox, durations),
            follower,
        )


def compose(kit: Kit) -> Worker:
    """Build the three lanes over one limiter, one HTTP client and one set of chains."""
    settings, durations, metrics = kit.settings, kit.durations, kit.metrics
    _check_settings(settings)
    limiter = RateLimiter(
        kit.redis,
        observe_wait=lambda lane, seconds: metrics.rate_limit_wait.labels(lane).observe(seconds),
        durations=durations,
    )
    pacer, stores = Pacer(limiter, settings, durations), _Stores.of(kit)
    prefetch = settings.prefetch or _PREFETCH
    shares = {queue: Shares(min(_HANDS, prefetch), prefetch, pacer.rate, durations) for queue in LANES}

    def linger_s() -> float:
        return _COLLECT_BUSY_S if any(lane.are_many for lane in shares.values()) else _COLLECT_S

    claims = Collector(stores.claims.claim, size=_COLLECT, linger_s=linger_s, flushes=2)
    results = Collector(stores.results.record, size=_COLLECT, linger_s=linger_s, flushes=3)
    api = CloudApi(settings, durations, kit.state.degraded)
    followed = Collector(stores.follower.follow, size=_COLLECT, linger_s=lambda: _COLLECT_S, flushes=2)
    sending = Sending(pacer, claims, api, results, followed, metrics, durations)
    teller = Teller(kit.database, kit.outbox)
    lines = _lines(kit, stores.claims, shares)
    intakes = {queue: _in_order(line) for queue, line in lines.items()}
    watch = Watch(kit.database, kit.broker.queue_state, limiter, kit.state, metrics, durations)
    hosts = settings.media_url_allowed_hosts
    return Worker(
        routes=tuple(
            Route(
                queue,
                OutboundSender(
                    lines[queue], intake, sending, teller, shares[queue], metrics, allowed_hosts=hosts
                ),
                kit.consumer_options(batch_size=100, linger_ms=2, at_once=Concurrent(prefetch)),
                prefetch=prefetch,
                order_key=_key,
            )
            for queue, intake in intakes.items()
        ),
        tasks=(
            *((f"intake {LANES[queue]}", intake.run) for queue, intake in intakes.items()),
            ("claims", claims.run),
            ("results", results.run),
            ("named customers", followed.run),
            ("watch", watch.run),
        ),
        closers=(api.close,),
    )


def _lines(kit: Kit, claims: ClaimStore, shares: Mapping[str, Shares]) -> dict[str, IntakeLine]:
    """One for each queue, over one admission and one set of chains."""
    number = kit.settings.whatsapp_phone_number_id
    cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
    store = IntakeStore(kit.database)
    admission = Admission(store, AddressBook(store, cache, kit.metrics, number), kit.locks, kit.metrics)
    chains = Chains()
    return {queue: IntakeLine(admission, claims, chains, shares[queue], kit.metrics) for queue in shares}


def _in_order(line: IntakeLine) -> _Intake:
    return Collector(line.take, size=_BATCHES, linger_s=lambda: _COLLECT_S, flushes=1, ordered=True)


def _check_settings(settings: Settings) -> None:
    has_own = any(number.token is not None for number in settings.whatsapp_numbers.values())
    if settings.whatsapp_access_token is None and not has_own:
        raise SettingsError("WHATSAPP_ACCESS_TOKEN: must be set for the outbound sender")
    for number in (settings.whatsapp_phone_number_id, *settings.whatsapp_numbers):
        find_proxy(settings.number(number).api_url)


def _key(delivery: Delivery) -> str:
    """Publishers use the conversation or the customer in the routing key."""
    return delivery.origin_routing_key


SPEC = WorkerSpec("outbound-sender", compose)
