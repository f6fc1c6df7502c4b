"""A RabbitMQ of the session's own, to be set and raised alarms on as no neighbour of a test would bear.

Started once, when the first test asks for it. `control` is `rabbitmqctl`.
"""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy import stack
from deploy.stack import Kind, ServerRecord, docker
from shared.amqp.client import open_session
from shared.amqp.topology import build_topology
from tests.support.cluster import FAST
from tests.support.servers import Servers, stack_root


@dataclass(frozen=True, slots=True)
class OwnRabbitMQ:
    """One broker, of this machine or in a container."""

    root: Path
    server: ServerRecord

    @property
    def url(self) -> str:
        """Its AMQP URL, as its administrator."""
        return self.server.url

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says. Raises where it fails."""
        if self.server.container is None:
            return stack.control_rabbitmq(self.root, *arguments)
        engine = docker.find_engine(os.environ)
        assert engine is not None
        command = [engine.program, "exec", self.server.container, "rabbitmqctl", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    def set_frame_max(self, size: int) -> None:
        """As `frame_max` in its configuration; for connections that are opened from now on."""
        self.control("eval", f"application:set_env(rabbit, frame_max, {size}).")

    def declare(self) -> None:
        """Everything that wabus needs, at a test's pace."""
        asyncio.run(_declare(self.url))


@pytest.fixture(scope="session")
def own_rabbitmq(servers: Servers) -> Iterator[OwnRabbitMQ]:
    """Beside the servers of the session, with our topology on it."""
    others = {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RABBITMQ_")}
    with stack_root() as root:
        state = stack.up(root, environ | others, progress=lambda _: None)
        own = OwnRabbitMQ(root, state.servers[Kind.RABBITMQ])
        own.declare()
        yield own


async def _declare(url: str) -> None:
    async with open_session(url) as session:
        await session.declare(build_topology(FAST))
