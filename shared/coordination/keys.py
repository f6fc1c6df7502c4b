"""Names of what Redis holds of a customer or a conversation, as operators know them."""


def mapping_lock_key(phone_number_id: str, wa_id: str) -> str:
    """The lock of one customer at one business number."""
    return f"lock:mapping:{phone_number_id}:{wa_id}"


def customer_key(phone_number_id: str, wa_id: str) -> str:
    """Cache key of a customer's active mapping at a business number."""
    return f"mapping:wa:{phone_number_id}:{wa_id}"


def conversation_key(conversation_id: str) -> str:
    """Cache key of a conversation's mapping."""
    return f"mapping:conv:{conversation_id}"
