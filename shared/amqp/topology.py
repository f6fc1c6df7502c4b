"""The exchanges, queues and bindings of wabus, as values.

Owns names and arguments, valid on RabbitMQ 3.10 to 4.x, and refuses illegal combinations when built; a broker
carries them to a server. Length limits are not here: operators set them by policy.
"""

from dataclasses import dataclass, field
from typing import Final

from shared.durations import DURATIONS, RETRY_TIER_NAMES, Durations

INBOUND: Final = "wa.inbound"
OUTBOUND: Final = "wa.outbound"
STATUS: Final = "wa.status"
CORRELATION: Final = "wa.correlation"
BROADCAST: Final = "wa.broadcast"
SHOP: Final = "wa.shop"
JOBS: Final = "wa.jobs"
EVENTS: Final = "wa.events"
RETRY: Final = "wa.retry"
DLX: Final = "wa.dlx"
UNROUTED: Final = "wa.unrouted"
#: The exchanges that others publish to; each has `wa.unrouted` as its alternate.
INGRESS: Final = (INBOUND, OUTBOUND, STATUS, CORRELATION, BROADCAST, SHOP)

INBOUND_RESOLVER: Final = "inbound-resolver"
INBOUND_CORRELATION: Final = "inbound-resolver.correlation"
OUTBOUND_REPLY: Final = "outbound-sender"
OUTBOUND_UTILITY: Final = "outbound-sender.utility"
OUTBOUND_BULK: Final = "outbound-sender.bulk"
STATUS_UPDATER: Final = "status-updater"
BROADCAST_BATCHER: Final = "broadcast-batcher"
SHOP_UPDATER: Final = "shop-updater"
SHOP_VIEWS: Final = "shop-updater.views"
NOTIFIER: Final = "notifier"
DLQ_HANDLER: Final = "dlq-handler"
ENRICHED: Final = "inbound.enriched"
#: The event by which rows of a person follow them.
MERGED: Final = "customer.merged"

#: Lane of each sender queue.
LANES: Final = {OUTBOUND_REPLY: "reply", OUTBOUND_UTILITY: "utility", OUTBOUND_BULK: "bulk"}

#: What a shop says of the things that last, and of what its customers agreed to.
SHOP_FACTS: Final = (
    "cart.updated",
    "cart.deleted",
    "order.updated",
    "order.shipped",
    "order.refunded",
    "product.updated",
    "product.deleted",
    "inventory.updated",
    "customer.updated",
    "consent",
)
#: What its customers look at.
VIEW: Final = "view"

#: What each queue of work is bound to: exchange and routing keys.
BINDINGS: Final = {
    INBOUND_RESOLVER: ((INBOUND, "#"),),
    INBOUND_CORRELATION: ((CORRELATION, "#"),),
    OUTBOUND_REPLY: ((OUTBOUND, "reply.#"),),
    OUTBOUND_UTILITY: ((OUTBOUND, "utility.#"),),
    OUTBOUND_BULK: ((OUTBOUND, "bulk.#"),),
    STATUS_UPDATER: ((STATUS, "#"),),
    BROADCAST_BATCHER: ((BROADCAST, "campaign.#"),),
    SHOP_UPDATER: (*((SHOP, key) for key in SHOP_FACTS), (EVENTS, MERGED)),
    SHOP_VIEWS: ((SHOP, VIEW),),
    NOTIFIER: ((JOBS, "notify.#"),),
}

#: No limit, written so that every version means it: for RabbitMQ 3.10 a limit of -1 is passed by the first
#: redelivery, which drops the message, and since 4.0 no argument stands for 20.
UNLIMITED: Final = 2_000_000_000

#: Queues that wabus works, each with a delivery limit; the dead letters' own queue has none.
WORK_QUEUES: Final = tuple(BINDINGS)


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str
    alternate: str | None = None

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of `exchange.declare`."""
        return {"alternate-exchange": self.alternate} if self.alternate else {}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue. `dead_letter_to` is (exchange, routing key); a TTL needs one."""

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    dead_letter_to: tuple[str, str] | None = None
    ttl_s: float | None = None
    delivery_limit: int = UNLIMITED

    def __post_init__(self) -> None:
        if self.ttl_s is not None and self.dead_letter_to is None:
            raise ValueError(f"queue {self.name}: messages that expire need somewhere to go")
        if self.delivery_limit < 0:
            raise ValueError(f"queue {self.name}: a negative delivery limit drops messages on RabbitMQ 3.10")
        if self.delivery_limit != UNLIMITED and self.dead_letter_to is None:
            raise ValueError(
                f"queue {self.name}: a delivery limit without a dead-letter exchange drops messages"
            )

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of `queue.declare`. Dead-lettering is at least once, which needs `reject-publish`."""
        arguments: dict[str, object] = {
            "x-queue-type": "quorum",
            "x-overflow": "reject-publish",
            "x-delivery-limit": self.delivery_limit,
        }
        if self.dead_letter_to is not None:
            exchange, routing_key = self.dead_letter_to
            arguments["x-dead-letter-exchange"] = exchange
            arguments["x-dead-letter-routing-key"] = routing_key
            arguments["x-dead-letter-strategy"] = "at-least-once"
        if self.ttl_s is not None:
            arguments["x-message-ttl"] = int(self.ttl_s * 1000)
        return arguments


@dataclass(frozen=True, slots=True)
class Topology:
    """All of it, in the order in which it is declared: what others point to comes first."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...] = field(default=())

    @property
    def items(self) -> tuple[Exchange | Queue, ...]:
        """Exchanges and queues in that order."""
        return (*self.exchanges, *self.queues)


def is_bound(exchange: str, routing_key: str) -> bool:
    """Whether a queue of ours takes what is published so; True of an exchange outside of `INGRESS`."""
    keys = [key for bindings in BINDINGS.values() for source, key in bindings if source == exchange]
    return exchange not in INGRESS or any(_matches(key.split("."), routing_key.split(".")) for key in keys)


def describe_unrouted(exchange: str, routing_key: str) -> str:
    """Why no queue took what was published so, and which keys there are: one line for its publisher."""
    bound = [(queue, key) for queue, pairs in BINDINGS.items() for source, key in pairs if source == exchange]
    taking = [queue for queue, key in bound if _matches(key.split("."), routing_key.split("."))]
    line = f"{exchange} has no queue for {routing_key!r}"
    if taking:
        return f"{line}: {', '.join(taking)} or its binding is missing, run wabus topology declare"
    keys = [key.replace("#", "<key>") for _, key in bound]
    return f"{line}: keys are {', '.join(keys)}" if keys else line


def _matches(pattern: list[str], words: list[str]) -> bool:
    """As a topic exchange does: `*` is one word, `#` any number of them."""
    match pattern:
        case []:
            return not words
        case ["#", *rest]:
            return any(_matches(rest, words[start:]) for start in range(len(words) + 1))
        case [word, *rest]:
            return bool(words) and word in ("*", words[0]) and _matches(rest, words[1:])
        case _:
            return False


def tier_queue(queue: str, attempt: int) -> str:
    """Name of the delay queue after counted attempt number `attempt` (from 1)."""
    return f"{queue}.retry.{RETRY_TIER_NAMES[min(attempt, len(RETRY_TIER_NAMES)) - 1]}"


def build_topology(durations: Durations = DURATIONS, *, enriched_queue: bool = True) -> Topology:
    """Build the topology. `enriched_queue=False` leaves `inbound.enriched` undeclared."""
    internal = (Exchange(UNROUTED), Exchange(DLX), Exchange(RETRY), Exchange(EVENTS))
    jobs = (Exchange(JOBS, alternate=UNROUTED),)
    ingress = tuple(Exchange(name, alternate=UNROUTED) for name in INGRESS)
    dead_letters = Queue(DLQ_HANDLER, bindings=((DLX, "#"), (UNROUTED, "#")))
    enriched = (Queue(ENRICHED, bindings=((EVENTS, ENRICHED),)),) if enriched_queue else ()
    work = tuple(_work_queue(name, durations) for name in WORK_QUEUES)
    tiers = tuple(tier for name in (*WORK_QUEUES, DLQ_HANDLER) for tier in _tiers(name, durations))
    return Topology(internal + ingress + jobs, (dead_letters, *enriched, *work, *tiers))


def _work_queue(name: str, durations: Durations) -> Queue:
    return Queue(
        name,
        bindings=BINDINGS[name],
        dead_letter_to=(DLX, name),
        delivery_limit=durations.delivery_limit,
    )


def _tiers(name: str, durations: Durations) -> tuple[Queue, ...]:
    return tuple(
        Queue(
            tier_queue(name, attempt),
            bindings=((RETRY, tier_queue(name, attempt)),),
            dead_letter_to=("", name),
            ttl_s=delay_s,
        )
        for attempt, delay_s in enumerate(durations.retry_tier_s, start=1)
    )
