"""How a queue is worked: batches taken and begun, what an error means, and how each delivery is settled.

Knows handlers, not what they do. A worker gives a `Route` for each queue; `Consumer` is the loop over it.
"""
