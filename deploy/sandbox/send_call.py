"""The send call over HTTP: `POST /{version}/{phone_number_id}/messages`.

Owns the conversation on the wire: latency, answers, and the ways of not answering. `platform` decides what is
accepted, before any of them.
"""

import asyncio
from dataclasses import replace
from random import Random

import orjson
from aiohttp import web

from deploy.sandbox.graph_errors import INVALID_PARAMETER, GraphError, RequestRefused, make_error
from deploy.sandbox.ledger import AcceptedMessage
from deploy.sandbox.platform import Admission, FaultAnswered, Platform, raise_fault
from deploy.sandbox.recipients import Manner
from deploy.sandbox.send_request import ReadReceipt, SendRequest, parse_body
from deploy.sandbox.settings import Fault
from deploy.sandbox.status_emitter import StatusEmitter
from deploy.sandbox.status_plan import PlannedStatus, plan_statuses

HANG_S = 120.0
LATE_S = 3.0
#: time for whoever hears the first status to work on it before the answer comes
STATUS_LEAD_S = 0.2


class SendCall:
    """The handler; without an emitter it sends no statuses."""

    def __init__(self, platform: Platform, emitter: StatusEmitter | None, seed: int | None) -> None:
        self._platform = platform
        self._emitter = emitter
        self._seed = seed

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self._platform.in_flight += 1
        try:
            return await self._answer(request)
        except RequestRefused as refused:
            self._platform.ledger.count_refusal(refused.error.code)
            return await self._after_latency(respond_error(refused.error))
        except FaultAnswered as fault:
            self._platform.ledger.count_refusal(None)
            response = web.Response(
                status=fault.http_status, text=fault.page, content_type=fault.content_type
            )
            return await self._after_latency(response)
        finally:
            self._platform.in_flight -= 1

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self._platform.authorise(request.headers.get("Authorization", ""))
        parsed = parse_body(request.content_type, await read_body(request))
        if isinstance(parsed, ReadReceipt):
            return await self._after_latency(respond({"success": True}))
        admission = self._platform.admit(parsed, request.match_info["phone_number_id"])
        await self._tell(admission)
        return await self._finish(request, parsed, admission)

    async def _tell(self, admission: Admission) -> None:
        """A caller who hangs up cancels us: all that is to be told is in the emitter's hands by then."""
        if self._emitter is None:
            return
        planned = self._plan(admission)
        if admission.behaviour.manner is Manner.AFTER_STATUS and planned:
            first, *rest = planned
            self._emitter.schedule(rest)
            event = replace(first.event, occurred_at=int(first.event.message.received_at))
            await self._emitter.tell_now(event)
            await asyncio.sleep(STATUS_LEAD_S)
        else:
            self._emitter.schedule(planned)

    def _plan(self, admission: Admission) -> list[PlannedStatus]:
        settings = self._platform.settings
        if not settings.statuses:
            return []
        message = admission.message
        # seeded by what was sent, not by the order of arrival, which concurrency makes random
        seed = None if self._seed is None else f"{self._seed}:{message.to}:{message.callback_data}"
        return plan_statuses(message, admission.behaviour, settings, Random(seed))  # noqa: S311

    async def _finish(
        self, request: web.Request, sent: SendRequest, admission: Admission
    ) -> web.StreamResponse:
        match admission.behaviour.manner:
            case Manner.NEVER:
                await asyncio.sleep(HANG_S)
                return close_connection(request)
            case Manner.CONNECTION_CLOSED:
                return close_connection(request)
            case Manner.LATE:
                await asyncio.sleep(LATE_S)
            case Manner.AT_ONCE | Manner.AFTER_STATUS:
                pass
        response = respond_success(sent, admission.message, self._platform.settings.message_status)
        match admission.fault:
            case Fault(answer="none"):
                await asyncio.sleep(HANG_S)
                return close_connection(request)
            case Fault(answer="closed"):
                return close_connection(request)
            case Fault(answer="half"):
                return await write_half(request, await self._after_latency(response))
            case Fault() as fault:
                raise_fault(fault)
            case None:
                pass
        return await write(request, await self._after_latency(response), admission.message)

    async def _after_latency(self, response: web.Response) -> web.Response:
        latency_ms = self._platform.settings.latency_ms
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        return response


async def read_body(request: web.Request) -> bytes:
    """The whole body. Raises `RequestRefused` where it is over the server's limit."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestRefused(
            make_error(INVALID_PARAMETER, "The body is too large.", http_status=413)
        ) from error


async def write(request: web.Request, response: web.Response, message: AcceptedMessage) -> web.Response:
    """Writes the answer here, not in the server, to know whether the caller could have it."""
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        return response
    message.answered = True
    return response


async def write_half(request: web.Request, response: web.Response) -> web.StreamResponse:
    """Writes the headers and the first half of the body, then drops the connection."""
    body = response.body
    assert isinstance(body, bytes)
    half = web.StreamResponse(status=response.status, headers={"Content-Length": str(len(body))})
    half.content_type = response.content_type
    try:
        await half.prepare(request)
        await half.write(body[: len(body) // 2])
    except ConnectionError:
        return half
    close_connection(request)
    return half


def close_connection(request: web.Request) -> web.Response:
    """Drops the TCP connection without an answer; the response returned goes nowhere."""
    if request.transport is not None:
        request.transport.close()
    return web.Response()


def respond(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


def respond_error(error: GraphError) -> web.Response:
    headers = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return web.Response(
        body=error.encode(), status=error.http_status, headers=headers, content_type="application/json"
    )


def respond_success(sent: SendRequest, message: AcceptedMessage, message_status: str) -> web.Response:
    contact = {"input": sent.addressed_as} | message.named.describe("wa_id", "user_id")
    ids: dict[str, str] = {"id": message.wamid}
    if sent.type == "template":
        ids["message_status"] = message_status
    return respond({"messaging_product": "whatsapp", "contacts": [contact], "messages": [ids]})
