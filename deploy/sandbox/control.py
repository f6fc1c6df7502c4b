"""The tester's side: `/_sandbox/messages`, `/stats`, `/reset` and `/settings`. Needs no token.

Owns what a test can see and set; nothing here is part of the Cloud API.
"""

import orjson
from aiohttp import web
from pydantic import ValidationError

from deploy.sandbox.platform import Platform
from deploy.sandbox.send_call import respond
from deploy.sandbox.status_emitter import StatusEmitter


class Control:
    """Handlers over one platform and, where statuses are sent, its emitter."""

    def __init__(self, platform: Platform, emitter: StatusEmitter | None) -> None:
        self._platform = platform
        self._emitter = emitter

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/messages", self.list_messages),
            web.get("/_sandbox/stats", self.show_stats),
            web.post("/_sandbox/reset", self.reset),
            web.get("/_sandbox/settings", self.show_settings),
            web.put("/_sandbox/settings", self.change_settings),
        ]

    async def list_messages(self, request: web.Request) -> web.Response:
        """What was accepted, oldest first; `?to=` picks a recipient (digits, `+` tolerated, or a user id)."""
        to = request.query.get("to")
        messages = self._platform.ledger.messages(None if to is None else to.strip("+ "))
        return respond({"messages": [message.describe() for message in messages]})

    async def show_stats(self, _request: web.Request) -> web.Response:
        """Counts since the start or the last reset."""
        platform, emitter = self._platform, self._emitter
        ledger = platform.ledger
        peaks = {number: window.peak for number, window in platform.windows.items()}
        return respond(
            {
                "accepted": ledger.accepted_by_number.total(),
                "accepted_by_number": ledger.accepted_by_number,
                "rejected": ledger.refused_by_code.total(),
                "rejected_by_code": ledger.refused_by_code,
                "in_flight": platform.in_flight,
                "max_sends_per_second": peaks,
                "remembered": len(ledger),
                "statuses_waiting": emitter.waiting if emitter else 0,
                "statuses_delivered": emitter.delivered if emitter else 0,
                "statuses_dropped": emitter.dropped if emitter else 0,
            }
        )

    async def reset(self, _request: web.Request) -> web.Response:
        """Forgets messages, counts, rates, refusals per recipient and waiting statuses; settings stay."""
        self._platform.forget()
        if self._emitter:
            self._emitter.forget()
        return respond({"reset": True})

    async def show_settings(self, _request: web.Request) -> web.Response:
        """The settings, without the token."""
        return respond(self._platform.settings.model_dump())

    async def change_settings(self, request: web.Request) -> web.Response:
        """Takes a JSON object of settings to change, the others stay. 400: nothing was changed."""
        try:
            changes = orjson.loads(await request.read())
            if not isinstance(changes, dict):
                return respond({"error": "a JSON object of settings is expected"}, status=400)
            self._platform.change(self._platform.settings.changed(changes))
        except orjson.JSONDecodeError:
            return respond({"error": "the body is not JSON"}, status=400)
        except ValidationError as error:
            return respond({"error": describe_problems(error)}, status=400)
        return await self.show_settings(request)


def describe_problems(error: ValidationError) -> str:
    """One line: each setting and what is wrong with it."""
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
