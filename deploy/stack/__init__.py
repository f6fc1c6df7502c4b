"""The local stack: a private RabbitMQ, PostgreSQL and Redis for one checkout.

Owns where the servers come from, their ports, data, processes and `.stack/env`. Does not own what is put
into them: schema and topology are prepared by `wabus migrate` and `wabus topology declare`.
"""

from deploy.stack.control import end_server, evaluate_in_rabbitmq, start_server
from deploy.stack.lifecycle import StatusRow, down, missing_servers, status, up
from deploy.stack.machine import Machine
from deploy.stack.records import Kind, ServerRecord, Source, StackState

__all__ = [
    "Kind",
    "Machine",
    "ServerRecord",
    "Source",
    "StackState",
    "StatusRow",
    "down",
    "end_server",
    "evaluate_in_rabbitmq",
    "missing_servers",
    "start_server",
    "status",
    "up",
]
