"""aio-pika: a wire for the seam, sessions and publishers for one errand, declarations of the topology.

Only this folder and `shared.amqp.opening` import aio-pika. `tests/integration/amqp` holds the wire to the
seam's promises.
"""
