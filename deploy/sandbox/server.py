"""The sandbox as a running server: composition, address, life.

Owns start and stop; works in a process of its own (`wabus sandbox`) or inside a test (`Sandbox.running`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from aiohttp import web

from deploy.sandbox.control import Control
from deploy.sandbox.graph_errors import make_error
from deploy.sandbox.platform import Platform
from deploy.sandbox.send_call import SendCall, respond_error
from deploy.sandbox.settings import SandboxSettings
from deploy.sandbox.status_emitter import StatusEmitter, StatusSink

#: connections that may wait to be taken in: a sender under test opens hundreds at once
BACKLOG = 1_024
#: given to requests in hand at the end; those that hang are then cut
SHUTDOWN_S = 0.5


class Sandbox:
    """A sandbox that listens at `url`. Made by `running` only."""

    def __init__(self, url: str, emitting: "asyncio.Task[None] | None") -> None:
        self.url = url
        self._emitting = emitting

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: SandboxSettings | None = None,
        sink: StatusSink | None = None,
        seed: int | None = None,
    ) -> AsyncIterator[Self]:
        """A sandbox for the length of the block. Port 0 picks a free one; no sink, no statuses.

        `seed` makes jitter, reordering and repeats of statuses a function of recipient and callback data.
        Raises `OSError` where the address is taken. Statuses that are not due at the end are dropped.
        """
        emitter = None if sink is None else StatusEmitter(sink)
        runner = web.AppRunner(
            compose_app(Platform(settings or SandboxSettings()), emitter, seed),
            access_log=None,
            handler_cancellation=True,
            shutdown_timeout=SHUTDOWN_S,
        )
        emitting = None if emitter is None else asyncio.create_task(emitter.run(), name="sandbox-statuses")
        try:
            await runner.setup()
            await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
            yield cls(f"http://{host}:{runner.addresses[0][1]}", emitting)
        finally:
            await runner.cleanup()
            await _end(emitting)
            if sink is not None:
                await sink.close()

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set. Raises what ended the statuses' task, should it die."""
        stopping = asyncio.create_task(stop.wait(), name="sandbox-stop")
        tasks = {stopping} if self._emitting is None else {stopping, self._emitting}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        if self._emitting is not None and self._emitting.done():
            self._emitting.result()


def compose_app(platform: Platform, emitter: StatusEmitter | None, seed: int | None) -> web.Application:
    app = web.Application()
    app.add_routes(Control(platform, emitter).routes())
    send_call = SendCall(platform, emitter, seed)
    app.router.add_post(r"/{version:v\d+\.\d+}/{phone_number_id:[^/]+}/messages", send_call.__call__)
    app.router.add_route("*", "/{path:.*}", refuse_path)
    return app


async def refuse_path(request: web.Request) -> web.Response:
    """What the Graph API says of an address it does not know."""
    return respond_error(make_error(2500, f"Unknown path components: {request.path}"))


async def _end(task: "asyncio.Task[None] | None") -> None:
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
