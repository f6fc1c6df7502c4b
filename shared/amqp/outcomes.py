"""What became of a publication that is not confirmed, in our words: an operator's line, never its body."""

from shared.amqp.delivery import Publication
from shared.errors import BrokerUnavailable, PublishFailed, PublishRefused


def returned(item: Publication) -> PublishRefused:
    """Mandatory, and no queue took it."""
    return PublishRefused(f"no queue took the message published to {_where(item)}")


def refused(item: Publication) -> PublishRefused:
    """RabbitMQ answered with a nack."""
    return PublishRefused(f"RabbitMQ refused a publish to {_where(item)} (queue full?)")


def unconfirmed(item: Publication) -> PublishFailed:
    """Nothing was heard of it in time; it may be out."""
    return PublishFailed(f"no confirm for a publish to {_where(item)} in time")


def cut_off(item: Publication, error: BaseException | None) -> BrokerUnavailable:
    """The channel or the connection went away before the confirm; it may be out."""
    return BrokerUnavailable(f"the publish to {_where(item)} was cut off: {error!r}")


def away(error: BaseException) -> BrokerUnavailable:
    """There was nobody to publish to."""
    return BrokerUnavailable(f"RabbitMQ is away: {str(error) or type(error).__name__}")


def _where(item: Publication) -> str:
    return item.exchange or item.routing_key
