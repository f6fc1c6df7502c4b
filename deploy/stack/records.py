"""What the stack remembers: a record per server in `.stack/state.json`, and `.stack/env` made from it.

Owns the two files and their permissions (both hold passwords). Does not own processes or servers.
"""

import json
import os
import shlex
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.stack.processes import ProcessRef

STACK_DIR = ".stack"


class Kind(StrEnum):
    """The three servers of a stack."""

    RABBITMQ = "rabbitmq"
    POSTGRES = "postgres"
    REDIS = "redis"

    @property
    def variable(self) -> str:
        """Name of the environment variable that holds this server's URL."""
        match self:
            case Kind.RABBITMQ:
                return "RABBITMQ_URL"
            case Kind.POSTGRES:
                return "DATABASE_URL"
            case Kind.REDIS:
                return "REDIS_URL"


class Source(StrEnum):
    """Where a server comes from; only `DOCKER` and `NATIVE` ones are ours to stop."""

    ENVIRONMENT = "environment"
    DOCKER = "docker"
    NATIVE = "native"


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One server: `url` reaches it; `processes` or `container` say what to end when it is ours.

    `metrics`: host and port of what it shows to Prometheus at `/metrics`, where it does.
    """

    kind: Kind
    source: Source
    url: str
    management_url: str | None = None
    ports: tuple[int, ...] = ()
    processes: tuple[ProcessRef, ...] = ()
    container: str | None = None
    data: str | None = None
    metrics: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the stack started it, and so has to stop it."""
        return self.source is not Source.ENVIRONMENT


@dataclass(slots=True)
class StackState:
    """The servers of one root. Changes are written at once, so that a crash forgets no process."""

    root: Path
    password: str
    servers: dict[Kind, ServerRecord] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def directory(self) -> Path:
        """The stack's own directory, `<root>/.stack`."""
        return self.root / STACK_DIR

    @property
    def env_file(self) -> Path:
        """The file with the servers' URLs, one `NAME=value` per line."""
        return self.directory / "env"

    def record(self, server: ServerRecord) -> None:
        """Remember a server durably, in place of an earlier one of its kind. Thread-safe."""
        with self._writing:
            self.servers[server.kind] = server
            self._write()

    def forget(self, kind: Kind) -> None:
        """Drop the record of a server that has been stopped. Thread-safe; unknown kinds are ignored."""
        with self._writing:
            self.servers.pop(kind, None)
            self._write()

    def urls(self) -> dict[str, str]:
        """Settings for a program that uses this stack, by environment variable."""
        found = {kind.variable: self.servers[kind].url for kind in Kind if kind in self.servers}
        rabbitmq = self.servers.get(Kind.RABBITMQ)
        if rabbitmq is not None and rabbitmq.management_url is not None:
            found["RABBITMQ_MANAGEMENT_URL"] = rabbitmq.management_url
        return found

    def write_env(self) -> None:
        """Write `.stack/env` whole."""
        _replace(self.env_file, "".join(f"{name}={shlex.quote(url)}\n" for name, url in self.urls().items()))

    def _write(self) -> None:
        document = {
            "password": self.password,
            "servers": [asdict(server) for server in self.servers.values()],
        }
        _replace(self.directory / "state.json", json.dumps(document, indent=1))


def load(root: Path, fresh_password: str) -> StackState:
    """Read the state below `root`; without a readable file it is empty, with `fresh_password`."""
    state = StackState(root=root, password=fresh_password)
    try:
        document = json.loads((state.directory / "state.json").read_text())
        servers = [_server(row) for row in document["servers"]]
        state.password = str(document["password"])
    except (OSError, ValueError, KeyError, TypeError):
        return state
    state.servers = {server.kind: server for server in servers}
    return state


def _server(row: Mapping[str, Any]) -> ServerRecord:
    return ServerRecord(
        kind=Kind(row["kind"]),
        source=Source(row["source"]),
        url=row["url"],
        management_url=row["management_url"],
        ports=tuple(row["ports"]),
        processes=tuple(
            ProcessRef(pid=int(ref["pid"]), started=str(ref["started"])) for ref in row["processes"]
        ),
        container=row["container"],
        data=row["data"],
        metrics=row.get("metrics"),
    )


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o711, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
