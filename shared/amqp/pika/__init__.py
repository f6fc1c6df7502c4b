"""The seam on aio-pika: connections that come back, inlets, a publisher with confirms, declarations.

Only this folder and `shared.amqp.opening` import aio-pika. `tests/integration/amqp` holds it to the seam's
promises.
"""
