"""The seam to RabbitMQ on AMQP frames: read in one pass over what arrives, written in one piece a batch.

The topology, and sessions for one errand, stay aio-pika's; pamqp writes and reads every frame that is rare.
"""
