"""A few bodies of each payload, as they stand in its schema: what a gateway writes first.

Owns the examples only. A test holds each against its schema and its model.
"""

from typing import Any, Final

_MAPPING: Final = "0b7e4d3c-5a52-4f8e-9c35-6d1f1a2b3c4d"
_MESSAGE: Final = "5f0c9d1e-8a57-4c0e-b7a1-2f3e4d5c6b7a"
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_TIME: Final = "2024-05-06T07:08:10Z"
_NEW: Final = {"event_version": 1, "trace_id": _TRACE, "timestamp": _TIME}
_CONVERSATION: Final = {
    **_NEW,
    "mapping_id": _MAPPING,
    "conversation_id": "c-1",
    "wa_id": "491700000001",
    "phone_number_id": "1001",
}

#: Examples by the payload's name.
EXAMPLES: Final[dict[str, list[dict[str, Any]]]] = {
    "InboundMessage": [
        {
            "wamid": "wamid.A1",
            "timestamp": "1714979289",
            "wa_id": "491700000001",
            "phone_number_id": "1001",
            "message_text": "Where is my parcel?",
            "contact_name": "Ana",
        },
        {
            "wamid": "wamid.A2",
            "timestamp": "1714979349",
            "wa_id": "DE.8842",
            "message_type": "image",
            "media_url": "https://media.example.org/a.jpg",
            "content": {"type": "image", "image": {"id": "77", "mime_type": "image/jpeg"}},
        },
    ],
    "OutboundMessage": [
        {"conversation_id": "c-1", "genesys_message_id": "g-1", "message_text": "It comes today."},
        {
            "wa_id": "491700000001",
            "phone_number_id": "1001",
            "client_message_id": "order-17-shipped",
            "template": {"name": "order_shipped", "language": "en_US"},
            "category": "utility",
            "expires_at": "2030-01-01T00:00:00Z",
        },
        {
            "conversation_id": "c-1",
            "genesys_message_id": "g-2",
            "media_id": "1037543291543636",
            "media_type": "application/pdf",
            "filename": "invoice.pdf",
        },
    ],
    "StatusUpdate": [
        {
            "wamid": "wamid.B2",
            "status": "delivered",
            "timestamp": "1714979299",
            "recipient_id": "491700000001",
            "callback_data": f"{_MESSAGE}:1",
        },
        {
            "wamid": "wamid.B3",
            "status": "failed",
            "timestamp": "1714979300",
            "errors": [{"code": 131047, "title": "Re-engagement message"}],
        },
    ],
    "ConversationCorrelation": [
        {"conversation_id": "c-1", "communication_id": "m-1", "whatsapp_message_id": "wamid.A1"}
    ],
    "ConversationClosed": [{"conversation_id": "c-1"}],
    "BroadcastCampaign": [
        {
            "campaign_id": "spring",
            "phone_number_id": "1001",
            "template": {"name": "spring_offer", "language": "en"},
            "recipients": [{"wa_id": "491700000001", "variables": {"1": "Ana"}}],
        }
    ],
    "CampaignControl": [{"campaign_id": "spring", "action": "pause", "requested_at": _TIME}],
    "EnrichedInboundMessage": [
        {
            "event_version": 1,
            "wamid": "wamid.A1",
            "timestamp": "2024-05-06T07:08:09Z",
            "wa_id": "491700000001",
            "phone_number_id": "1001",
            "message_type": "text",
            "message_text": "Where is my parcel?",
            "contact_name": "Ana",
            "mapping_id": _MAPPING,
            "conversation_id": None,
            "is_new_conversation": True,
            "trace_id": _TRACE,
        }
    ],
    "EnrichedOutboundMessage": [
        {
            **_CONVERSATION,
            "message_id": _MESSAGE,
            "genesys_message_id": "g-1",
            "wamid": "wamid.B2",
        },
        {
            **_CONVERSATION,
            "message_id": _MESSAGE,
            "genesys_message_id": "g-1",
            "error": {"code": "131047", "message": "Re-engagement message"},
        },
    ],
    "OutboundWaiting": [
        {**_NEW, "conversation_id": "c-2", "genesys_message_id": "g-3", "metadata": {"agent": "ana"}}
    ],
    "MessageUpdated": [
        {
            **_NEW,
            "message_id": _MESSAGE,
            "wamid": "wamid.B2",
            "direction": "OUTBOUND",
            "old_status": "sent",
            "new_status": "delivered",
            "implied": False,
        }
    ],
    "ConversationCorrelated": [
        {**_CONVERSATION, "communication_id": "m-1", "whatsapp_message_id": "wamid.A1"}
    ],
    "ConversationClosedEvent": [_CONVERSATION],
    "ConversationExpired": [{**_CONVERSATION, "last_activity_at": "2024-05-05T07:08:10Z"}],
    "CustomerMerged": [
        {
            **_NEW,
            "customer": "491700000001",
            "merged": "DE.8842",
            "addresses": ["491700000001", "DE.8842"],
            "evidence": "inbound",
        }
    ],
    "ConsentChanged": [
        {
            **_NEW,
            "customer": "491700000001",
            "kind": "marketing",
            "value": False,
            "source": "message",
            "occurred_at": "2024-05-05T07:08:10Z",
        }
    ],
    "CampaignUpdated": [
        {
            **_NEW,
            "campaign_id": "spring",
            "old_status": "running",
            "new_status": "done",
            "recipients": {"sent": 40, "delivered": 9, "failed": 1},
        }
    ],
    "CartUpdated": [
        {
            "cart_id": "c-1",
            "updated_at": _TIME,
            "wa_id": "491700000001",
            "items": [{"product_id": "7", "quantity": 2, "price": "12.90", "product_name": "Mug"}],
            "currency": "EUR",
            "cart_url": "https://shop.example.org/cart",
        },
        {"cart_id": "c-1", "updated_at": _TIME, "items": [], "currency": "EUR", "version": 4},
    ],
    "CartDeleted": [{"cart_id": "c-1", "updated_at": _TIME}],
    "OrderUpdated": [
        {
            "order_id": "727",
            "updated_at": _TIME,
            "status": "processing",
            "total": "25.80",
            "currency": "EUR",
            "phone": "0176 12345678",
            "country": "DE",
            "cart_id": "c-1",
            "items": [{"product_id": "7", "quantity": 2, "price": "12.90"}],
        }
    ],
    "OrderShipped": [
        {
            "order_id": "727",
            "occurred_at": _TIME,
            "tracking": {"number": "00340434161094", "carrier": "DHL"},
        }
    ],
    "OrderRefunded": [
        {
            "order_id": "727",
            "refund_id": "r-1",
            "amount": "5.00",
            "currency": "EUR",
            "occurred_at": _TIME,
        }
    ],
    "ProductUpdated": [
        {
            "product_id": "7",
            "updated_at": _TIME,
            "name": "Mug",
            "price": "12.90",
            "currency": "EUR",
            "in_stock": True,
        }
    ],
    "ProductDeleted": [{"product_id": "7", "updated_at": _TIME}],
    "InventoryUpdated": [{"product_id": "7", "updated_at": _TIME, "quantity": 12}],
    "CustomerUpdated": [
        {
            "customer_id": "25",
            "updated_at": _TIME,
            "phone": "0176 12345678",
            "country": "DE",
            "name": "Ana",
            "email": "ana@example.org",
            "tags": ["wholesale"],
            "accepts_marketing": False,
        }
    ],
    "ConsentChange": [
        {
            "wa_id": "491700000001",
            "marketing": True,
            "source": "shop",
            "occurred_at": _TIME,
            "evidence": "checkout 4711",
        }
    ],
    "ProductViewed": [
        {
            "wa_id": "491700000001",
            "views": [{"product_id": "7", "viewed_at": _TIME, "price": "12.90", "currency": "EUR"}],
        }
    ],
    "CartAbandoned": [
        {
            **_NEW,
            "cart": _MAPPING,
            "shop_id": "default",
            "cart_id": "c-1",
            "customer": "491700000001",
            "total": "12.90",
            "currency": "EUR",
            "round": 1,
            "revision": 2,
        }
    ],
    "CartRecovered": [
        {
            **_NEW,
            "cart": _MAPPING,
            "shop_id": "default",
            "cart_id": "c-1",
            "customer": "491700000001",
            "order_id": "727",
            "revenue": "25.80",
            "currency": "EUR",
            "reminder": 1,
            "revision": 5,
        }
    ],
    "CartExpired": [
        {
            **_NEW,
            "cart": _MAPPING,
            "shop_id": "default",
            "cart_id": "c-1",
            "customer": "491700000001",
            "reason": "superseded",
            "revision": 3,
        }
    ],
    "OrderCreated": [
        {
            **_NEW,
            "shop_id": "default",
            "order_id": "727",
            "customer": "491700000001",
            "status": "processing",
            "total": "25.80",
            "currency": "EUR",
            "cart_id": "c-1",
            "revision": 2,
        }
    ],
    "NotificationUpdated": [
        {
            **_NEW,
            "notification_id": _MESSAGE,
            "shop_id": "default",
            "notification_type": "cart_reminder_1",
            "old_status": "pending",
            "new_status": "skipped",
            "skip_reason": "frequency_cap",
            "revision": 2,
        }
    ],
    "ReengagementConverted": [
        {
            **_NEW,
            "notification_id": _MESSAGE,
            "shop_id": "default",
            "campaign_type": "cart_reminder",
            "customer": "491700000001",
            "order_id": "727",
            "revenue": "12.90",
            "currency": "EUR",
        }
    ],
    "DLQMessage": [
        {
            "event_version": 1,
            "id": "9e107d9d-372b-4b62-8f3a-0c1d2e3f4a5b",
            "original_payload": {"wamid": "wamid.A1"},
            "reason": "invalid_payload",
            "error_message": "timestamp: field required; wa_id: field required",
            "retry_count": 0,
            "timestamp": _TIME,
            "source_queue": "inbound-resolver",
            "routing_key": "491700000001",
            "headers": {},
        }
    ],
}
