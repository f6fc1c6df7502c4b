"""One message from its permit to its disposition.

Owns the order that sends nothing twice: a permit of the rate, the claim committed, the request, the result
committed, and only then what else follows and the disposition. Nothing that can fail stands between an answer
and its record. The decisions are in `gate` and `reactions`.
"""

import asyncio
import time
from dataclasses import replace
from typing import Protocol, assert_never

from shared.amqp.disposition import Ack, Dead, Defer, Disposition, Retry
from shared.amqp.hops import tie
from shared.coordination.permits import LimitCause, TooLong
from shared.durations import Durations
from shared.messaging.customers.named import NamedCustomer, Naming, hear
from shared.messaging.messages import callback_data
from shared.messaging.messages.graph_errors import ErrorClass
from shared.messaging.messages.scopes import WaitsFor, wait_for
from shared.observability.logs import Operation, fields, get_logger
from shared.observability.metrics import Metrics
from shared.payloads.clock import CLOCK
from shared.reasons import DeadReason
from workers.outbound_sender.calling.answer import (
    Accepted,
    Answer,
    Lost,
    Refused,
    TooLate,
    Unable,
    Unreachable,
)
from workers.outbound_sender.calling.graph_body import encode_body
from workers.outbound_sender.calling.reactions import (
    Again,
    AwaitPlatform,
    AwaitWorker,
    Reaction,
    Reconcile,
    Reject,
    RetryLater,
    Sent,
    Situation,
    SlowCustomer,
    SlowNumber,
    Weigh,
    health_of,
    react,
)
from workers.outbound_sender.calling.telling import begin_span, tell_answer, tell_unsent
from workers.outbound_sender.claiming.gate import Done, Fail, Hold, Withdraw, WithdrawNotice
from workers.outbound_sender.claiming.store import Claimed, ClaimOutcome, ClaimRequest, NeedsPermit
from workers.outbound_sender.message import CAMPAIGN_CANCELLED, Outgoing
from workers.outbound_sender.pacing import Pacer
from workers.outbound_sender.results.store import AttemptResult, Effect, Written

logger = get_logger(__name__)


class Claims(Protocol):
    """Decides over a message and claims its attempt."""

    async def submit(self, item: ClaimRequest) -> ClaimOutcome: ...


class Results(Protocol):
    """Writes how an attempt, or a message, ended."""

    async def submit(self, item: AttemptResult) -> Written: ...


class Followed(Protocol):
    """Follows what an answer calls its customer."""

    async def submit(self, item: NamedCustomer) -> None: ...


class Api(Protocol):
    """The send call."""

    async def send(self, number: str, body: bytes, claimed_at: float) -> Answer: ...


class Sending:
    """Sends messages, any number at once; one of a customer and lane at a time is the caller's to see to."""

    def __init__(
        self,
        pacer: Pacer,
        claims: Claims,
        api: Api,
        results: Results,
        followed: Followed,
        metrics: Metrics,
        durations: Durations,
    ) -> None:
        self._pacer = pacer
        self._claims = claims
        self._api = api
        self._results = results
        self._followed = followed
        self._metrics = metrics
        self._durations = durations

    async def send(self, message: Outgoing, *, needs_permit: bool) -> Disposition:
        """Send one message and say what becomes of its delivery. Raises StoreError.

        `needs_permit` False: it would not be sent as things stand, so it need not wait in line to be told.
        Who gets no permit is judged without one: behind an earlier message it waits for that, not for a time.
        """
        tie(message.delivery, message.id)
        while True:
            refused = await self._pacer.wait(message) if needs_permit else None
            verdict = await self._claims.submit(
                ClaimRequest(message, has_permit=needs_permit and refused is None)
            )
            match verdict:
                case Claimed():
                    disposition = await self._attempt(message, verdict)
                    if disposition is not None:
                        return disposition
                case NeedsPermit() if refused is not None:
                    return put_off(message, refused)
                case NeedsPermit():
                    needs_permit = True
                case Done():
                    self._metrics.duplicate_messages.labels("outbound-sender").inc()
                    return Ack()
                case Withdraw() | WithdrawNotice():
                    return Ack()
                case Hold(reason, delay_s):
                    return message.defer(reason, delay_s)
                case Fail():
                    return await self._fail(message, verdict)
                case _:
                    assert_never(verdict)

    async def _attempt(self, message: Outgoing, claimed: Claimed) -> Disposition | None:
        """Make the claimed attempt. None: the message goes on at once with another one."""
        attempt = claimed.claim.attempt
        body = encode_body(message.payload, claimed.address, callback_data(message.id, attempt))
        await self._pacer.begin(message.number)
        started = time.perf_counter()
        span = begin_span(message, attempt)
        answer = await self._api.send(message.number, body, claimed.at)
        duration_s = time.perf_counter() - started
        situation = Situation(
            attempt,
            message.delivery.attempt,
            claimed.claim.pair_refusals,
            claimed.claim.unanswered_s,
        )
        reaction = react(answer, situation, self._durations)
        ending = end(message, attempt, answer, reaction)
        written, _ = await asyncio.gather(self._results.submit(ending), self._slow_down(message, reaction))
        tell_answer(self._metrics, message, attempt, answer, duration_s, span)
        await self._follow(message, claimed, answer)
        return dispose(message, ending, reaction, written, self._durations)

    async def _follow(self, message: Outgoing, claimed: Claimed, answer: Answer) -> None:
        """What the answer calls the customer, where that is new. Only their own next message waits for it.

        All of the result is written: whatever is wrong here is no trouble of the message's.
        """
        if not isinstance(answer, Accepted):
            return
        naming = Naming(message.id, "answer", CLOCK.now(), message.trace_id)
        named = hear(naming, claimed.to, answer.wa_id, answer.user_id)
        if named is None:
            return
        try:
            await self._followed.submit(named)
        except Exception:
            logger.exception(
                "what an answer calls its customer is not followed",
                extra=fields(
                    operation=Operation.OUTBOUND_SEND,
                    trace_id=message.trace_id,
                    phone_number_id=message.number,
                    message_id=message.id,
                    mapping_id=message.mapping_id,
                ),
            )

    async def _slow_down(self, message: Outgoing, reaction: Reaction) -> None:
        """Beside the record: whether others could be slowed down is nothing to the message itself."""
        try:
            await self._pace(message, reaction)
        except Exception:
            logger.exception(
                "the pace of number %s could not be changed",
                message.number,
                extra=fields(
                    operation=Operation.OUTBOUND_SEND,
                    trace_id=message.trace_id,
                    phone_number_id=message.number,
                    message_id=message.id,
                    lane=message.lane,
                ),
            )

    async def _pace(self, message: Outgoing, reaction: Reaction) -> None:
        match reaction:
            case SlowNumber(retry_after_s):
                await self._pacer.slow_number(message.number, retry_after_s)
            case SlowCustomer(n):
                await self._pacer.slow_customer(message, n)
            case _:
                pass

    async def _fail(self, message: Outgoing, fail: Fail) -> Disposition:
        """It ends without an attempt."""
        tell_unsent(message, fail.code, fail.text)
        effect = Effect.SKIP_RECIPIENT if fail.code == CAMPAIGN_CANCELLED else None
        ending = AttemptResult(
            message, None, "failed", is_over=True, code=fail.code, text=fail.text, effect=effect
        )
        written = await self._results.submit(ending)
        return _bury(message, written, fail.dead, fail.text)


def end(message: Outgoing, attempt: int, answer: Answer, reaction: Reaction) -> AttemptResult:
    """How an attempt ended, to be written. Pure."""
    health = health_of(answer, message.id)
    match answer:
        case Accepted():
            return AttemptResult(
                message,
                attempt,
                "sent",
                is_over=True,
                wamid=answer.wamid,
                http_status=answer.http_status,
                health=health,
                message_status=answer.message_status,
            )
        case Lost(text, http_status, page):
            return AttemptResult(
                message,
                attempt,
                "ambiguous",
                is_over=False,
                http_status=http_status,
                code="ambiguous",
                text=text,
                page=page,
                health=health,
            )
        case TooLate():
            return AttemptResult(message, attempt, "abandoned", is_over=False, code="not_started")
        case Unreachable(text):
            refusal = Refused(ErrorClass.TRANSIENT, "unreachable", text)
        case Unable(text):
            refusal = Refused(ErrorClass.TRANSIENT, "unable", text)
        case Refused():
            refusal = answer
    return AttemptResult(
        message,
        attempt,
        "failed",
        is_over=isinstance(reaction, Reject),
        http_status=refusal.http_status,
        code=refusal.code,
        text=refusal.text,
        page=refusal.page,
        health=health,
        weighed=refusal.error_class if isinstance(reaction, Weigh) else None,
    )


def dispose(
    message: Outgoing, ending: AttemptResult, reaction: Reaction, written: Written, durations: Durations
) -> Disposition | None:
    """What becomes of the delivery once the ending is written; None: it goes on at once. Pure."""
    text = ending.text or ""
    if not ending.is_over and not written.was_open:
        return None  # a status has closed the attempt before us: the gate looks at it anew
    match reaction:
        case Sent():
            return Ack()
        case Reconcile():
            return message.defer("ambiguous", durations.ambiguous_wait_s)
        case Again() | SlowNumber() | SlowCustomer():
            return None
        case RetryLater(retries, exhausted):
            return Retry("transient", text, exhausted=exhausted, attempts=retries, message_id=message.id)
        case AwaitPlatform(delay_s):
            return message.defer("platform_away", delay_s)
        case AwaitWorker(delay_s):
            return message.defer("worker_unable", delay_s)
        case Weigh():
            return _wait(message, ending, written, durations)
        case Reject(dead):
            return _bury(message, written, dead, f"{ending.code}: {text}")


def put_off(message: Outgoing, refused: TooLong) -> Defer:
    """A customer's wait is the message's own; the number's rate lets it go in its turn. Pure."""
    match refused:
        case TooLong(wait_s, LimitCause.PAIR):
            return message.defer("rate_limit", wait_s)
        case TooLong(wait_s, LimitCause.SLOWED):
            return replace(message.defer("rate_limit", wait_s), slows_number=True)
        case TooLong():
            return message.defer("rate_limit", 0)


def _wait(message: Outgoing, ending: AttemptResult, written: Written, durations: Durations) -> Disposition:
    """What becomes of a weighed one: dead, back with its campaign, or deferred.

    One that was accepted before is not asked for by its campaign again: it waits itself.
    """
    hold = written.hold
    if hold is None:
        return _bury(message, written, DeadReason.SEND_REJECTED, f"{ending.code}: {written.text}")
    if written.is_returned and not message.is_status_retry:
        return Ack()
    assert ending.attempt is not None
    reason, delay_s = wait_for(WaitsFor.CAMPAIGN if written.is_returned else hold, ending.attempt, durations)
    return message.defer(reason, delay_s)


def _bury(message: Outgoing, written: Written, dead: DeadReason | None, text: str) -> Disposition:
    """Dead if the message has failed; a status may have proved meanwhile that it was sent."""
    if dead is None or written.status != "failed":
        return Ack()
    return Dead(dead, text, message_id=message.id)
