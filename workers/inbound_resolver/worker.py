"""Composition root of the inbound resolver."""

import orjson

from shared.amqp.delivery import Delivery
from shared.amqp.topology import ENRICHED, EVENTS, INBOUND_CORRELATION, INBOUND_RESOLVER
from shared.consuming.route import OneBatch, Overlapping, Route
from shared.messaging.conversations.cache import MappingCache
from shared.messaging.customers.consent_file import ConsentTexts
from shared.messaging.customers.identities import Identities
from shared.messaging.customers.suppressions import Suppressions
from shared.running.kit import Kit, Worker, WorkerSpec
from workers.inbound_resolver.consents import ConsentKeeper
from workers.inbound_resolver.correlator import Correlator
from workers.inbound_resolver.resolver import InboundResolver
from workers.inbound_resolver.store import MessageStore


def compose(kit: Kit) -> Worker:
    """Build the resolver and the correlator."""
    settings = kit.settings
    texts = ConsentTexts.read(settings.consent_words_file)
    cache = MappingCache(kit.redis, observe=kit.metrics.count_cache, durations=kit.durations)
    resolver = InboundResolver(
        MessageStore(
            kit.database,
            Identities(kit.database, kit.outbox, cache, kit.metrics),
            ConsentKeeper(
                kit.outbox,
                kit.metrics,
                texts,
                Suppressions.of(settings.suppression_key),
                kit.durations,
                settings.whatsapp_phone_number_id,
            ),
            kit.durations,
            settings.whatsapp_phone_number_id,
        ),
        kit.broker.publisher,
        kit.locks,
        cache,
        kit.metrics,
        kit.durations,
        words=texts.words,
        allowed_hosts=settings.media_url_allowed_hosts,
        enriched_queue=settings.enriched_queue,
    )
    correlator = Correlator(kit.database, kit.outbox, kit.locks, cache)
    return Worker(
        routes=(
            Route(
                INBOUND_RESOLVER,
                resolver,
                kit.consumer_options(batch_size=150, linger_ms=5, at_once=Overlapping()),
                prefetch=600,
                order_key=_customer,
                publishes=(EVENTS, ENRICHED),
            ),
            Route(
                INBOUND_CORRELATION,
                correlator,
                kit.consumer_options(batch_size=50, linger_ms=0, at_once=OneBatch()),
                prefetch=100,
                order_key=_conversation,
            ),
        )
    )


def _customer(delivery: Delivery) -> str:
    """Gateways publish with the customer as routing key."""
    return delivery.origin_routing_key


def _conversation(delivery: Delivery) -> str | None:
    """What is told of one conversation stays in its order; an unreadable body has none."""
    try:
        said = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        return None
    name = said.get("conversation_id") if isinstance(said, dict) else None
    return name if isinstance(name, str) else None


SPEC = WorkerSpec("inbound-resolver", compose)
