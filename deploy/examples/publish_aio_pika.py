"""Publish the JSON body on stdin with aio-pika, and wait until RabbitMQ has taken it over.

RABBITMQ_URL=amqp://… python publish_aio_pika.py wa.inbound 491700000001 < body.json
"""

import asyncio
import os
import sys

import aio_pika
from aio_pika.exceptions import AMQPError, DeliveryError


async def publish(url: str, exchange: str, routing_key: str, body: bytes) -> None:
    """Raises DeliveryError where RabbitMQ refused the message, AMQPError or OSError where nobody knows."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)  # confirms are on by default
        target = await channel.get_exchange(exchange, ensure=False)
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await target.publish(message, routing_key, timeout=10)


def main() -> int:
    """0: taken over. 1: not, or not known; the same body may be published again."""
    exchange, routing_key = sys.argv[1:]
    try:
        asyncio.run(publish(os.environ["RABBITMQ_URL"], exchange, routing_key, sys.stdin.buffer.read()))
    except (AMQPError, DeliveryError, OSError, TimeoutError) as error:
        sys.stderr.write(f"not confirmed: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write("confirmed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
