"""The HTTP side of a worker: `/metrics`, `/health`, `/health/live`, `/health/ready`.

Owns the listening socket and the answers' codes, and keeps the servers asked. What is healthy is decided in
`shared.observability.health`.
"""

import asyncio
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import orjson
from aiohttp import web

from shared.errors import SettingsError
from shared.observability.checks import HealthChecks
from shared.observability.health import Health, Probe, Verdict, WorkerState, judge
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import CONTENT_TYPE, Metrics
from shared.tasks import end_tasks

logger = get_logger(__name__)
#: Checks that tell of `wabus_dependency_up`.
_SERVERS: Final = frozenset({"database", "redis", "rabbitmq"})


class HealthServer:
    """Serves from `start()` to `close()`, on the worker's own event loop; also a context manager."""

    def __init__(
        self, host: str, port: int, metrics: Metrics, probes: Sequence[Probe], state: WorkerState
    ) -> None:
        self.host = host
        self.port = port
        self._metrics = metrics
        self._checks = HealthChecks(probes)
        self._checking: list[asyncio.Task[None]] = []
        self._state = state
        app = web.Application()
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/health", self._show_health)
        app.router.add_get("/health/live", self._show_live)
        app.router.add_get("/health/ready", self._show_ready)
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1)

    async def start(self) -> int:
        """Listens, and gives the port, which is a free one where 0 was asked for.

        Raises SettingsError where the address cannot be listened on.
        """
        try:
            listener = _listen(self.host, self.port)
        except OSError as error:
            rule = f"must be free on {self.host} ({error.strerror}; 0 picks a free one)"
            raise SettingsError(f"METRICS_PORT: {rule}, got {self.port}") from None
        self.port = listener.getsockname()[1]
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()
        self._checking.append(asyncio.create_task(self._checks.run(), name="health checks"))
        logger.info("metrics and health on port %d", self.port, extra=fields(operation=Operation.HEALTH))
        return self.port

    async def close(self) -> None:
        """Stops listening and asking; requests in hand are cut after a second. May be called twice."""
        await self._runner.cleanup()
        await end_tasks(self._checking)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _judge(self) -> Verdict:
        return judge(self._state, self._checks.probes, await self._checks.answers())

    async def _show_metrics(self, _: web.Request) -> web.Response:
        verdict = await self._judge()
        for name in _SERVERS & verdict.checks.keys():
            self._metrics.dependency_up.labels(name).set(verdict.checks[name].status == "ok")
        return web.Response(body=self._metrics.expose(), headers={"Content-Type": CONTENT_TYPE})

    async def _show_health(self, _: web.Request) -> web.Response:
        verdict = await self._judge()
        return _answer(verdict.as_json(), well=verdict.health is not Health.UNHEALTHY)

    async def _show_live(self, _: web.Request) -> web.Response:
        live = self._state.live
        return _answer({"status": "live" if live else "stalled"}, well=live)

    async def _show_ready(self, _: web.Request) -> web.Response:
        verdict = await self._judge()
        reasons = [] if verdict.ready else verdict.reasons
        return _answer(
            {"status": "ready" if verdict.ready else "not ready", "reasons": reasons}, well=verdict.ready
        )


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def _answer(body: dict[str, object], *, well: bool) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=200 if well else 503, content_type="application/json")
