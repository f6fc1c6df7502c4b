"""What the agent platform's gateway says of a conversation."""

from shared.payloads.fields import Identifier, Maybe, Wamid
from shared.payloads.model import Payload


class ConversationCorrelation(Payload):
    """`wa.correlation`, key `genesys`: the conversation that the message `whatsapp_message_id` belongs to."""

    conversation_id: Identifier
    communication_id: Identifier
    whatsapp_message_id: Wamid
    genesys_message_id: Maybe[Identifier] = None


class ConversationClosed(Payload):
    """`wa.correlation`, key `genesys.closed`: the agent has closed the conversation."""

    conversation_id: Identifier
