"""Names of the payloads on the wire, by where they travel: AMQP's property `type`.

Owns the list. A name is that of the payload's model and of its schema file, which a test holds against it.
"""

from typing import Final

from shared.amqp.topology import (
    BINDINGS,
    BROADCAST,
    CORRELATION,
    EVENTS,
    INBOUND,
    JOBS,
    OUTBOUND,
    SHOP,
    STATUS,
)

#: Of each exchange and routing key; `#`: of every other key of the exchange.
PAYLOAD_NAMES: Final = {
    (INBOUND, "#"): "InboundMessage",
    (OUTBOUND, "#"): "OutboundMessage",
    (STATUS, "#"): "StatusUpdate",
    (CORRELATION, "#"): "ConversationCorrelation",
    (CORRELATION, "genesys.closed"): "ConversationClosed",
    (BROADCAST, "#"): "CampaignControl",
    (BROADCAST, "campaign.launch"): "BroadcastCampaign",
    (BROADCAST, "campaign.batch"): "CampaignNudge",
    (SHOP, "cart.updated"): "CartUpdated",
    (SHOP, "cart.deleted"): "CartDeleted",
    (SHOP, "order.updated"): "OrderUpdated",
    (SHOP, "order.shipped"): "OrderShipped",
    (SHOP, "order.refunded"): "OrderRefunded",
    (SHOP, "product.updated"): "ProductUpdated",
    (SHOP, "product.deleted"): "ProductDeleted",
    (SHOP, "inventory.updated"): "InventoryUpdated",
    (SHOP, "customer.updated"): "CustomerUpdated",
    (SHOP, "consent"): "ConsentChange",
    (SHOP, "view"): "ProductViewed",
    (JOBS, "notify.due"): "NoticeNudge",
    (EVENTS, "inbound.enriched"): "EnrichedInboundMessage",
    (EVENTS, "outbound.sent"): "EnrichedOutboundMessage",
    (EVENTS, "outbound.failed"): "EnrichedOutboundMessage",
    (EVENTS, "outbound.waiting"): "OutboundWaiting",
    (EVENTS, "message.updated"): "MessageUpdated",
    (EVENTS, "conversation.correlated"): "ConversationCorrelated",
    (EVENTS, "conversation.closed"): "ConversationClosedEvent",
    (EVENTS, "conversation.expired"): "ConversationExpired",
    (EVENTS, "customer.merged"): "CustomerMerged",
    (EVENTS, "consent.changed"): "ConsentChanged",
    (EVENTS, "campaign.updated"): "CampaignUpdated",
    (EVENTS, "cart.recovered"): "CartRecovered",
    (EVENTS, "order.created"): "OrderCreated",
    (EVENTS, "cart.abandoned"): "CartAbandoned",
    (EVENTS, "cart.expired"): "CartExpired",
    (EVENTS, "notification.updated"): "NotificationUpdated",
    (EVENTS, "reengagement.converted"): "ReengagementConverted",
    (EVENTS, "deadletter.stored"): "DLQMessage",
}
#: What died in a queue that is not ours, or was never bound.
_UNKNOWN: Final = "unknown"


def payload_name(place: str, routing_key: str) -> str:
    """The payload of a message in `place`, a queue of ours or an exchange, whatever its body is.

    The schema of each is `schema/payloads/<name>.json`.
    """
    exchanges = dict.fromkeys(exchange for exchange, _ in BINDINGS.get(place, ((place, "#"),)))
    names = [PAYLOAD_NAMES.get((exchange, key)) for key in (routing_key, "#") for exchange in exchanges]
    return next((name for name in names if name is not None), _UNKNOWN)
