"""A RabbitMQ to be set and raised alarms on: whoever does that undoes it, since tests that follow share it.

The session's, where it is a process of this machine; else one that starts when the first test asks for it.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import stack
from deploy.stack import Kind, Machine, ServerRecord, Source, docker, rabbitmq
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from tests.support.paces import FAST
from tests.support.servers import Servers, SessionStack, stack_root


@dataclass(frozen=True, slots=True)
class OwnRabbitMQ:
    """One broker, of this machine or in a container."""

    root: Path
    server: ServerRecord

    @property
    def url(self) -> str:
        """Its AMQP URL, as its administrator."""
        return self.server.url

    def evaluate(self, expression: str) -> None:
        """Have it evaluate Erlang, which ends with a full stop. Raises where it fails."""
        if self.server.container is None:
            stack.evaluate_in_rabbitmq(self.root, expression)
            return
        command = [*self.rabbitmqctl(), "eval", expression]
        subprocess.run(command, check=True, capture_output=True, timeout=120)

    def rabbitmqctl(self) -> list[str]:
        """The beginning of a command line that is `rabbitmqctl` for this broker."""
        if self.server.container is not None:
            engine = docker.find_engine(os.environ)
            assert engine is not None
            return [engine.program, "exec", self.server.container, "rabbitmqctl"]
        machine = Machine()
        assert self.server.data is not None
        environment = {
            **machine.server_environment(Path(self.server.data)),  # its cookie lies there
            "RABBITMQ_NODENAME": rabbitmq.NODE,
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "ERL_EPMD_PORT": str(self.server.ports[-1]),
        }
        given = [f"{name}={value}" for name, value in environment.items()]
        return ["env", "-i", *given, str(machine.require("rabbitmqctl"))]

    def set_frame_max(self, size: int) -> None:
        """As `frame_max` in its configuration; for connections that are opened from now on."""
        self.evaluate(f"application:set_env(rabbit, frame_max, {size}).")

    def declare(self) -> None:
        """Everything that wabus needs, at a test's pace."""
        asyncio.run(_declare(self.url))


@pytest.fixture(scope="session")
def own_rabbitmq(session_stack: SessionStack, servers: Servers) -> Iterator[OwnRabbitMQ]:
    """With our topology on its first virtual host."""
    with ExitStack() as cleanup:
        root, server = session_stack.root, session_stack.state.servers[Kind.RABBITMQ]
        if server.source is not Source.NATIVE:
            root = cleanup.enter_context(stack_root())
            server = _start(root, servers)
        own = OwnRabbitMQ(root, server)
        own.declare()
        yield own


def _start(root: Path, servers: Servers) -> ServerRecord:
    """Beside the servers of the session."""
    others = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
    return stack.up(root, environ | others, progress=lambda _: None).servers[Kind.RABBITMQ]


async def _declare(url: str) -> None:
    async with open_session(url) as session:
        await session.declare(build_topology(FAST))
