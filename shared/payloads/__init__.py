"""Every payload on the wire, typed: what comes in (`decode`) and what goes out (`encode`).

Owns the shapes and their rules; imports nothing of ours. Not here: lanes, headers, topology (`shared.amqp`),
whether a media URL may be fetched (`shared.settings.media_url`), what a payload leads to (`workers`).
"""

from shared.payloads.broadcast import BroadcastCampaign, CampaignControl, Recipient
from shared.payloads.consent import ConsentChange, ConsentChanged
from shared.payloads.conversation import ConversationClosed, ConversationCorrelation
from shared.payloads.decoding import BODY_LIMIT_BYTES, Decoded, InvalidPayload, check_text, decode, mend, read
from shared.payloads.encoding import encode
from shared.payloads.events import (
    CampaignUpdated,
    ConversationClosedEvent,
    ConversationCorrelated,
    ConversationExpired,
    CustomerMerged,
    DLQMessage,
    EnrichedOutboundMessage,
    MessageUpdated,
    NotificationUpdated,
    OutboundWaiting,
    ReengagementConverted,
    SendError,
)
from shared.payloads.inbound import EnrichedInboundMessage, InboundMessage
from shared.payloads.model import Event, Payload
from shared.payloads.outbound import (
    CONTENT_KINDS,
    Category,
    ContentKind,
    Location,
    OutboundMessage,
    Reaction,
    Template,
)
from shared.payloads.shop import (
    CartDeleted,
    CartUpdated,
    CustomerUpdated,
    InventoryUpdated,
    OrderRefunded,
    OrderShipped,
    OrderUpdated,
    ProductDeleted,
    ProductUpdated,
    ProductViewed,
)
from shared.payloads.shop_events import CartAbandoned, CartExpired, CartRecovered, OrderCreated
from shared.payloads.status import StatusError, StatusUpdate

__all__ = [
    "BODY_LIMIT_BYTES",
    "CONTENT_KINDS",
    "BroadcastCampaign",
    "CampaignControl",
    "CampaignUpdated",
    "CartAbandoned",
    "CartDeleted",
    "CartExpired",
    "CartRecovered",
    "CartUpdated",
    "Category",
    "ConsentChange",
    "ConsentChanged",
    "ContentKind",
    "ConversationClosed",
    "ConversationClosedEvent",
    "ConversationCorrelated",
    "ConversationCorrelation",
    "ConversationExpired",
    "CustomerMerged",
    "CustomerUpdated",
    "DLQMessage",
    "Decoded",
    "EnrichedInboundMessage",
    "EnrichedOutboundMessage",
    "Event",
    "InboundMessage",
    "InvalidPayload",
    "InventoryUpdated",
    "Location",
    "MessageUpdated",
    "NotificationUpdated",
    "OrderCreated",
    "OrderRefunded",
    "OrderShipped",
    "OrderUpdated",
    "OutboundMessage",
    "OutboundWaiting",
    "Payload",
    "ProductDeleted",
    "ProductUpdated",
    "ProductViewed",
    "Reaction",
    "Recipient",
    "ReengagementConverted",
    "SendError",
    "StatusError",
    "StatusUpdate",
    "Template",
    "check_text",
    "decode",
    "encode",
    "mend",
    "read",
]
