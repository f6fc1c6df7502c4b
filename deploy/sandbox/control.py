"""The tester's side: everything under `/_sandbox`. Needs no token.

Owns what a test can see and set; nothing here is part of the Cloud API.
"""

from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from deploy.sandbox.customer_change import make_change, parse_change
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
            web.post("/_sandbox/customers/change", self.change_customer),
        ]

    async def list_messages(self, request: web.Request) -> web.Response:
        """What was accepted, oldest first; `?to=` picks a customer by any notation of a phone, or by id."""
        to = request.query.get("to")
        customer = None if to is None else self._platform.customers.find(to.strip("+ "))
        messages = self._platform.ledger.messages(customer)
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
            changes = await read_object(request)
            self._platform.change(self._platform.settings.changed(changes))
        except ValueError as error:
            return respond({"error": describe_problems(error)}, status=400)
        return await self.show_settings(request)

    async def change_customer(self, request: web.Request) -> web.Response:
        """Gives a customer another phone, {"from", "to"}, or another id, {"from_user_id", "to_user_id"}.

        Answers the platform's system message, which is told as statuses are, to `phone_number_id` where the
        body names one. 400: nothing was changed.
        """
        platform = self._platform
        try:
            asked = parse_change(await read_object(request))
        except ValueError as error:
            return respond({"error": describe_problems(error)}, status=400)
        change = make_change(asked, platform.customers, hide_phones=platform.settings.hide_phones)
        if self._emitter:
            await self._emitter.tell_now(change)
        return respond({"message": change.message})


async def read_object(request: web.Request) -> dict[str, Any]:
    """The body as a JSON object. Raises ValueError, in words for the tester."""
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is not a JSON object")
    return body


def describe_problems(error: ValueError) -> str:
    """One line: each field and what is wrong with it."""
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
