"""Servers in Docker containers, through the `docker` command line.

Owns one container per server, published on loopback ports that stay the same. Which images: `images`.
"""

import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.stack import ports, probes
from deploy.stack.images import IMAGES
from deploy.stack.records import Kind, ServerRecord, Source, StackState
from shared.errors import StackError

_PROBE_TIMEOUT_S = 10
_PULL_TIMEOUT_S = 600
_START_TIMEOUT_S = 90.0
_POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class _Recipe:
    #: Of the container; of RabbitMQ AMQP's, the management's and Prometheus'.
    ports: Sequence[int]
    settings: Mapping[str, str]
    arguments: Sequence[str] = ()


def _recipe(kind: Kind, password: str) -> _Recipe:
    match kind:
        case Kind.RABBITMQ:
            settings = {"RABBITMQ_DEFAULT_USER": "wabus", "RABBITMQ_DEFAULT_PASS": password}
            return _Recipe((5672, 15672, 15692), settings)
        case Kind.POSTGRES:
            settings = {"POSTGRES_PASSWORD": password, "POSTGRES_DB": "wabus"}
            return _Recipe((5432,), settings, ("-c", "max_connections=300"))
        case Kind.REDIS:
            return _Recipe((6379,), {}, ("--requirepass", password, "--save", "", "--appendonly", "no"))


@dataclass(frozen=True, slots=True)
class DockerEngine:
    """An engine that answered when asked."""

    program: str
    environ: Mapping[str, str]

    def start(self, kind: Kind, state: StackState, abandon: threading.Event) -> ServerRecord:
        """Run a container and wait until its server answers.

        Raises StackError with the container's log when it does not; the container is then removed.
        """
        recipe = _recipe(kind, state.password)
        earlier = state.servers.get(kind)
        count = len(recipe.ports)
        wanted = ports.wanted(state.root, kind, count, earlier.ports if earlier else ())
        chosen = ports.choose(count, wanted)
        url = _url(kind, chosen[0], state.password)
        container = self._run(kind, recipe, chosen)
        server = ServerRecord(kind, Source.DOCKER, url, ports=chosen, container=container)
        if kind is Kind.RABBITMQ:
            _, management, prometheus = chosen
            management_url = f"http://wabus:{state.password}@127.0.0.1:{management}"
            server = replace(server, management_url=management_url, metrics=f"127.0.0.1:{prometheus}")
        state.record(server)
        self._wait_for(server, abandon)
        return server

    def remove(self, container: str) -> None:
        """End and remove a container with its anonymous volumes; one that is gone already is fine."""
        done = self._docker("rm", "--force", "--volumes", container)
        if done.returncode and "No such container" not in done.stderr:
            raise StackError(f"cannot remove container {container[:12]}: {done.stderr.strip()}")

    def is_running(self, container: str) -> bool:
        """Whether the container runs."""
        return self._docker("inspect", "--format", "{{.State.Running}}", container).stdout.strip() == "true"

    def _run(self, kind: Kind, recipe: _Recipe, chosen: Sequence[int]) -> str:
        pairs = zip(chosen, recipe.ports, strict=True)
        options = [word for ours, its in pairs for word in ("--publish", f"127.0.0.1:{ours}:{its}")]
        options += [word for name in recipe.settings for word in ("--env", name)]
        done = self._docker(
            "run", "--detach", *options, IMAGES[kind], *recipe.arguments, settings=recipe.settings
        )
        if done.returncode:
            for container in done.stdout.split():  # made, and not started
                self.remove(container)
            raise StackError(f"docker cannot run {IMAGES[kind]}: {done.stderr.strip()}")
        return done.stdout.split()[-1]

    def _wait_for(self, server: ServerRecord, abandon: threading.Event) -> None:
        container = server.container or ""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (problem := probes.failure(server)) is not None:
            if time.monotonic() > deadline or abandon.wait(_POLL_S) or not self.is_running(container):
                tail = self._docker("logs", "--tail", "15", container)
                self.remove(container)
                raise StackError(
                    f"{server.kind} did not start: {problem}\n{tail.stdout}{tail.stderr}".rstrip()
                )

    def _docker(
        self, *words: str, settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, *words],
            check=False,
            env={**self.environ, **(settings or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PULL_TIMEOUT_S,
        )


def find_engine(environ: Mapping[str, str]) -> DockerEngine | None:
    """The Docker engine that answers in this environment, or None. Blocks for 10 s at most."""
    program = shutil.which("docker", path=environ.get("PATH"))
    if program is None or not Path(program).is_file():
        return None
    try:
        asked = subprocess.run(
            [program, "version", "--format", "{{.Server.Version}}"],
            check=False,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return None
    return DockerEngine(program, dict(environ)) if asked.returncode == 0 else None


def _url(kind: Kind, port: int, password: str) -> str:
    match kind:
        case Kind.RABBITMQ:
            return f"amqp://wabus:{password}@127.0.0.1:{port}/"
        case Kind.POSTGRES:
            return f"postgresql://postgres:{password}@127.0.0.1:{port}/wabus"
        case Kind.REDIS:
            return f"redis://:{password}@127.0.0.1:{port}/0"
