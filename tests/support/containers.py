"""Servers for the tests in Docker, through testcontainers. Used only where an engine answers."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from secrets import token_hex

from testcontainers.core.container import DockerContainer

from deploy.stack import probes
from deploy.stack.images import IMAGES
from deploy.stack.records import Kind, ServerRecord, Source
from shared.errors import StackError

_START_TIMEOUT_S = 90.0
_POLL_S = 0.2


def start_missing(environ: Mapping[str, str], cleanup: ExitStack) -> dict[str, str]:
    """Start a container for each server that `environ` does not name; returns the settings that name them.

    Blocks until each answers. `cleanup` ends the containers.
    """
    password = token_hex(8)
    found: dict[str, str] = {}
    for kind in Kind:
        if kind.variable not in environ:
            found |= _start(kind, password, cleanup)
    for kind in Kind:
        if kind.variable in found:
            _wait_for(ServerRecord(kind, Source.ENVIRONMENT, found[kind.variable]))
    return found


def _start(kind: Kind, password: str, cleanup: ExitStack) -> dict[str, str]:
    container = DockerContainer(IMAGES[kind])
    match kind:
        case Kind.RABBITMQ:
            container.with_exposed_ports(5672, 15672)
            container.with_env("RABBITMQ_DEFAULT_USER", "wabus").with_env("RABBITMQ_DEFAULT_PASS", password)
            login = f"wabus:{password}@"
            cleanup.enter_context(container)
            return {
                "RABBITMQ_URL": f"amqp://{login}{_address(container, 5672)}/",
                "RABBITMQ_MANAGEMENT_URL": f"http://{login}{_address(container, 15672)}",
            }
        case Kind.POSTGRES:
            container.with_exposed_ports(5432).with_command("postgres -c max_connections=300")
            container.with_env("POSTGRES_PASSWORD", password).with_env("POSTGRES_DB", "wabus")
            cleanup.enter_context(container)
            return {"DATABASE_URL": f"postgresql://postgres:{password}@{_address(container, 5432)}/wabus"}
        case Kind.REDIS:
            container.with_exposed_ports(6379)
            cleanup.enter_context(container)
            return {"REDIS_URL": f"redis://{_address(container, 6379)}/0"}


def _wait_for(server: ServerRecord) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while (problem := probes.failure(server)) is not None:
        if time.monotonic() > deadline:
            raise StackError(f"the container of {server.kind} does not answer: {problem}")
        time.sleep(_POLL_S)


def _address(container: DockerContainer, port: int) -> str:
    return f"{container.get_container_host_ip()}:{container.get_exposed_port(port)}"
