"""Settings: every variable of the environment, read and checked once; URLs of servers and of media.

Ports of workers are not here: each stands with its program in `workers.registry`.
"""
