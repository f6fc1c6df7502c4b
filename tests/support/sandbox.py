"""A caller of the sandbox and a receiver of its webhooks, for tests; both over real HTTP."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson
from aiohttp import web

from tests.support.waiting import until

NUMBER = "1001"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a send call, read whole."""

    status: int
    headers: dict[str, str]
    text: str
    body: Any

    @property
    def code(self) -> int:
        return int(self.body["error"]["code"])

    @property
    def wamid(self) -> str:
        return str(self.body["messages"][0]["id"])


class SandboxCaller:
    """Speaks both sides of a sandbox: the Cloud API's send call, and `/_sandbox`."""

    def __init__(self, client: aiohttp.ClientSession, url: str, token: str = "t") -> None:
        self._client = client
        self._url = url
        self.token = token

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str) -> AsyncIterator[Self]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as client:
            yield cls(client, url)

    async def send(self, to: str | None, number: str = NUMBER, timeout_s: float = 30, **more: Any) -> Answer:
        """Sends a text. `more` goes over the body."""
        body = {"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hello"}} | more
        return await self.post(f"/v25.0/{number}/messages", body, timeout_s)

    async def post(self, path: str, body: Any, timeout_s: float = 30) -> Answer:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        data = io.BytesIO(orjson.dumps(body))
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        async with self._client.post(self._url + path, data=data, headers=headers, timeout=timeout) as answer:
            text = await answer.text()
            is_json = answer.content_type == "application/json"
            return Answer(answer.status, dict(answer.headers), text, await answer.json() if is_json else None)

    async def messages(self, to: str | None = None) -> list[dict[str, Any]]:
        query = {} if to is None else {"to": to}
        async with self._client.get(f"{self._url}/_sandbox/messages", params=query) as answer:
            return list((await answer.json())["messages"])

    async def stats(self) -> dict[str, Any]:
        async with self._client.get(f"{self._url}/_sandbox/stats") as answer:
            return dict(await answer.json())

    async def change(self, **settings: Any) -> Answer:
        async with self._client.put(f"{self._url}/_sandbox/settings", json=settings) as answer:
            return Answer(answer.status, dict(answer.headers), await answer.text(), await answer.json())

    async def change_customer(self, **asked: Any) -> Answer:
        """`from_` stands for the key `from`."""
        body = {key.removesuffix("_"): value for key, value in asked.items()}
        return await self.post("/_sandbox/customers/change", body)

    async def reset(self) -> None:
        async with self._client.post(f"{self._url}/_sandbox/reset") as answer:
            answer.raise_for_status()


class WebhookReceiver:
    """A real HTTP server that keeps the webhook bodies it was sent; it refuses the first `refusals`."""

    def __init__(self, refusals: int = 0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.url = ""
        self._refusals_left = refusals

    @classmethod
    @asynccontextmanager
    async def running(cls, refusals: int = 0) -> AsyncIterator[Self]:
        receiver = cls(refusals)
        app = web.Application()
        app.router.add_post("/hook", receiver._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
            yield receiver
        finally:
            await runner.cleanup()

    @property
    def statuses(self) -> list[dict[str, Any]]:
        """Every status in the order of its coming."""
        return self._told("statuses")

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Every message in the order of its coming."""
        return self._told("messages")

    def _told(self, part: str) -> list[dict[str, Any]]:
        return [
            told
            for body in self.bodies
            for entry in body["entry"]
            for change in entry["changes"]
            for told in change["value"].get(part, ())
        ]

    async def wait_for(self, condition: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The statuses once they meet `condition`."""
        await until(lambda: condition(self.statuses))
        return self.statuses

    async def _receive(self, request: web.Request) -> web.Response:
        if self._refusals_left:
            self._refusals_left -= 1
            return web.Response(status=503)
        self.bodies.append(await request.json())
        return web.Response()


async def wait_for_message(caller: SandboxCaller, to: str) -> dict[str, object]:
    """The first message to `to`, once it was accepted."""

    async def is_accepted() -> bool:
        return bool(await caller.messages(to))

    await until(is_accepted)
    return (await caller.messages(to))[0]
