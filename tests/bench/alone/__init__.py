"""What less than the work costs: each server by itself, and the client library by itself.

Programs that take their servers from the environment, as workers do; `tests.bench` starts them.
"""
