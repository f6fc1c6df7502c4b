"""The seam to RabbitMQ on any client's wire: kept connected, consumers restored, publications counted.

Knows no client: what an implementation adds is a `shared.amqp.wire.Wire`.
"""
