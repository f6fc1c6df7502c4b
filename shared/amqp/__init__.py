"""RabbitMQ: the seam that everything else is written against, and what holds whichever client carries it.

`broker` is the seam (Broker, Inlet, Publisher) for those who work; `session` is one for an errand. `kept`
keeps it up on any client's `wire`: on `frames`, a client of our own for the hot path, or on `pika`, which is
aio-pika's and serves errands and the topology, too. `client` alone hands one out, and `opening` opens
aio-pika's connections. Topology, headers and payload names are values here. What is done with a delivery is
`shared.consuming`.
"""
