"""Where each server of a stack comes from, and having it from there.

Order for each server alone: the environment's URL, a running one of ours, Docker where an engine answers,
the machine's own binaries (installed first where allowed).
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from deploy.stack import docker, native, ports, probes
from deploy.stack.docker import DockerEngine
from deploy.stack.machine import Machine
from deploy.stack.parallel import act_on_all
from deploy.stack.records import Kind, ServerRecord, Source, StackState
from shared.errors import StackError
from shared.masking import mask_url
from shared.settings.environment import read_variable

Progress = Callable[[str], None]


@dataclass(slots=True)
class Starter:
    state: StackState
    environ: Mapping[str, str]
    progress: Progress
    machine: Machine
    abandon: threading.Event = field(default_factory=threading.Event)
    engine: DockerEngine | None = None

    def run(self) -> None:
        """Settle where each server comes from, then have all three."""
        to_start = [kind for kind in Kind if not self._is_settled(kind)]
        if not to_start:
            return
        self.engine = docker.find_engine(self.environ)
        if self.engine is None:
            self._install_missing(to_start)
        act_on_all(self._start, to_start, self.abandon)

    def _is_settled(self, kind: Kind) -> bool:
        """Whether the server is named by the environment (checked to answer), or is ours and answers."""
        known = self.state.servers.get(kind)
        named = read_variable(self.environ, kind.variable, secret=True)
        if named and (known is None or known.url != named or not known.is_ours):
            self._use_named(kind, named, known)
            return True
        if known is None:
            return False
        if known.is_ours and native.is_running(known) and probes.failure(known) is None:
            self.progress(f"{kind}: already running")
            return True
        if not known.is_ours:
            self.state.forget(kind)
        return False

    def _use_named(self, kind: Kind, url: str, known: ServerRecord | None) -> None:
        management = self.environ.get("RABBITMQ_MANAGEMENT_URL") if kind is Kind.RABBITMQ else None
        named = ServerRecord(kind, Source.ENVIRONMENT, url, management)
        if (problem := probes.failure(named)) is not None:
            raise StackError(f"{kind.variable} names {mask_url(url)}, which does not answer: {problem}")
        if known is not None and known.is_ours:
            stop(known, self.state, self.environ, self.progress)
        self.state.record(named)
        self.progress(f"{kind}: {kind.variable} of the environment")

    def _install_missing(self, kinds: Sequence[Kind]) -> None:
        missing = [kind for kind in kinds if not native.is_installed(kind, self.machine)]
        if not missing:
            return
        self.machine.provide(missing, self.progress, self.state.directory / "packages.log")
        if still := [kind for kind in missing if not native.is_installed(kind, self.machine)]:
            raise StackError(f"packages are installed, but no binaries of {', '.join(still)} were found")

    def _start(self, kind: Kind) -> None:
        started_at = time.monotonic()
        known = self.state.servers.get(kind)
        if known is not None:
            self._clear_leftovers(known)
        started = self._start_in_docker(kind) or self._start_native(kind)
        self.progress(f"{kind}: started ({started.source}, {time.monotonic() - started_at:.1f} s)")
        wanted = ports.wanted(self.state.root, kind, len(started.ports), known.ports if known else ())
        for line in ports.describe_moves(kind, wanted, started.ports):
            self.progress(line)

    def _clear_leftovers(self, known: ServerRecord) -> None:
        """What a crash left of a server: half its processes, or a container that no longer answers."""
        native.end(known)
        if known.container is not None and self.engine is not None:
            self.engine.remove(known.container)

    def _start_in_docker(self, kind: Kind) -> ServerRecord | None:
        if self.engine is None:
            return None
        self.progress(f"{kind}: starting in Docker")
        try:
            return self.engine.start(kind, self.state, self.abandon)
        except StackError as error:
            if self.abandon.is_set() or not native.is_installed(kind, self.machine):
                raise
            self.progress(f"{kind}: {error}; using the machine's own")
            return None

    def _start_native(self, kind: Kind) -> ServerRecord:
        return native.start(kind, self.state, self.machine, self.abandon)


def stop(server: ServerRecord, state: StackState, environ: Mapping[str, str], progress: Progress) -> None:
    """End one server of ours and forget it; one that the environment named is left alone."""
    match server.source:
        case Source.NATIVE:
            native.stop(server)
        case Source.DOCKER:
            engine = docker.find_engine(environ)
            if engine is None:
                raise StackError(f"{server.kind} runs in Docker, and no Docker engine answers to stop it")
            engine.remove(server.container or "")
        case Source.ENVIRONMENT:
            return
    state.forget(server.kind)
    progress(f"{server.kind}: stopped")
