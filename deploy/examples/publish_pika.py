"""Publish the JSON body on stdin with pika, and wait until RabbitMQ has taken it over.

RABBITMQ_URL=amqp://… python publish_pika.py wa.inbound 491700000001 < body.json
"""

import os
import sys

import pika
from pika.exceptions import AMQPError


def publish(url: str, exchange: str, routing_key: str, body: bytes) -> None:
    """Raises NackError or UnroutableError where RabbitMQ refused the message, else another AMQPError."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        channel.confirm_delivery()  # from now on basic_publish waits for the confirm
        channel.basic_publish(
            exchange,
            routing_key,
            body,
            pika.BasicProperties(content_type="application/json", delivery_mode=2),
            mandatory=True,
        )
    finally:
        if connection.is_open:
            connection.close()


def main() -> int:
    """0: taken over. 1: not, or not known; the same body may be published again."""
    exchange, routing_key = sys.argv[1:]
    try:
        publish(os.environ["RABBITMQ_URL"], exchange, routing_key, sys.stdin.buffer.read())
    except (AMQPError, OSError) as error:
        sys.stderr.write(f"not confirmed: {type(error).__name__}: {error}\n")
        return 1
    sys.stdout.write("confirmed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
