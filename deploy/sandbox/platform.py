"""The simulated platform's decisions: which checked request it takes, and what it remembers of it.

Owns settings, customers, ledger, rates and the count of refusals per customer; no I/O. Everything here runs
between two awaits, so a message is wholly accepted or not at all.
"""

import hmac
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from deploy.sandbox.customers import Addressee, Customers
from deploy.sandbox.graph_errors import (
    ACCESS_TOKEN_INVALID,
    NUMBER_RATE_LIMIT,
    PAIR_RATE_LIMIT,
    RequestRefused,
    make_error,
)
from deploy.sandbox.ledger import AcceptedMessage, Ledger
from deploy.sandbox.rates import PairLimit, SecondWindow
from deploy.sandbox.recipients import Behaviour, behaviour_of
from deploy.sandbox.send_request import SendRequest
from deploy.sandbox.settings import Fault, SandboxSettings

_BLOCKED_PAGE = "<!doctype html><title>403 Forbidden</title><p>Blocked by the web filter.</p>"


class FaultAnswered(Exception):  # noqa: N818 - as RequestRefused
    """An answer without a Graph error, from something between the caller and the platform."""

    def __init__(
        self, http_status: int, page: str = "upstream error", content_type: str = "text/plain"
    ) -> None:
        super().__init__(http_status)
        self.http_status = http_status
        self.page = page
        self.content_type = content_type


@dataclass(frozen=True, slots=True)
class Admission:
    """An accepted message, how it is answered, and the fault that replaces or spoils the answer."""

    message: AcceptedMessage
    behaviour: Behaviour
    fault: Fault | None


class Platform:
    """`clock` is monotonic seconds."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.in_flight = 0
        self.change(settings)
        self.forget()

    def change(self, settings: SandboxSettings) -> None:
        """Takes new settings; the fault in them starts anew."""
        self.settings = settings
        self._faults_left = None if settings.fault is None else settings.fault.times

    def forget(self) -> None:
        """Forgets messages, counts, rates and what customers changed. Settings stay."""
        self.ledger = Ledger()
        self.customers = Customers()
        self.windows: defaultdict[str, SecondWindow] = defaultdict(SecondWindow)
        self._pairs = PairLimit()
        self._refusals: Counter[str] = Counter()

    def authorise(self, authorization: str) -> None:
        """Checks a header `Authorization: Bearer …`. Raises `RequestRefused` 190."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise RequestRefused(make_error(ACCESS_TOKEN_INVALID, "An access token is required."))
        expected = self.settings.token
        if expected is not None and not hmac.compare_digest(token.encode(), expected.encode()):
            raise RequestRefused(make_error(ACCESS_TOKEN_INVALID, "Error validating access token."))

    def admit(self, request: SendRequest, phone_number_id: str) -> Admission:
        """Accepts and records the message, or raises `RequestRefused` or `FaultAnswered`."""
        fault = self._take_fault(phone_number_id)
        if fault is not None and fault.answer == "error" and not fault.accepted:
            raise_fault(fault)
        now_s = self._clock()
        recipient = self.customers.find(request.recipient)
        pair = (phone_number_id, recipient.user_id)
        self._check_rates(pair, now_s)
        behaviour = behaviour_of(request.recipient)
        self._check_recipient(recipient, behaviour)
        self.windows[phone_number_id].add(now_s)
        if self.settings.pair_rate_limit:
            self._pairs.add(pair, now_s)
        hidden = self.settings.hide_phones
        return Admission(self.ledger.accept(request, phone_number_id, recipient, hidden), behaviour, fault)

    def _take_fault(self, phone_number_id: str) -> Fault | None:
        fault = self.settings.fault
        if fault is None or fault.phone_number_id not in (None, phone_number_id):
            return None
        if self._faults_left is not None:
            if self._faults_left == 0:
                return None
            self._faults_left -= 1
        return fault

    def _check_rates(self, pair: tuple[str, str], now_s: float) -> None:
        limit = self.settings.number_mps
        if limit is not None and self.windows[pair[0]].count(now_s) >= limit:
            raise RequestRefused(
                make_error(NUMBER_RATE_LIMIT, "Cloud API message throughput has been reached.")
            )
        if self.settings.pair_rate_limit and not self._pairs.allows(pair, now_s):
            raise RequestRefused(make_error(PAIR_RATE_LIMIT, "Too many messages to this phone number."))

    def _check_recipient(self, recipient: Addressee, behaviour: Behaviour) -> None:
        if behaviour.is_blocked:
            raise FaultAnswered(403, _BLOCKED_PAGE, "text/html")
        if behaviour.refusal is None:
            return
        if behaviour.refusals is not None:
            if self._refusals[recipient.user_id] >= behaviour.refusals:
                return
            self._refusals[recipient.user_id] += 1
        raise RequestRefused(behaviour.refusal)


def raise_fault(fault: Fault) -> NoReturn:
    """Raises what the fault answers."""
    if fault.code is None:
        raise FaultAnswered(fault.http_status or 502)
    raise RequestRefused(
        make_error(
            fault.code,
            "Injected fault.",
            http_status=fault.http_status,
            retry_after_s=fault.retry_after_s,
            subcode=fault.error_subcode,
        )
    )
