"""RabbitMQ: the seam that everything else is written against, and what holds whichever client carries it.

`broker` is the seam (Broker, Inlet, Publisher) for those who work; `session` is one for an errand. `pika`
is the implementation on aio-pika; `client` alone hands one out, and `opening` opens connections. Topology,
headers and payload names are values here. What is done with a delivery is `shared.consuming`.
"""
