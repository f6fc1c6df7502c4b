"""Rates that all replicas share: state in Redis, decided there by scripts and by its clock.

Owns the keys and the calls; the rules are in `rate_permit.lua`, `rate_slow.lua` and `rate_pair.lua`. Every
method raises `RedisUnavailable`.
"""

from collections.abc import Sequence
from typing import Any, Final

from shared.coordination.client import RedisClient, Script
from shared.coordination.permits import LANES, Ask, LimitCause, Permit, Wait, bucket_of, pair_pause_s, rate_of
from shared.durations import Durations

_PERMIT: Final = Script.load("rate_permit")
_SLOW: Final = Script.load("rate_slow")
_PAIR: Final = Script.load("rate_pair")


class SharedRates:
    """One call to Redis for each question, or for several of one number and lane."""

    def __init__(self, client: RedisClient, durations: Durations) -> None:
        self._client = client
        self._durations = durations

    async def permit(self, ask: Ask) -> Permit | Wait:
        """May this message go now? A permit is used up by being given."""
        return (await self.permit_many([ask]))[0]

    async def permit_many(self, asks: Sequence[Ask]) -> list[Permit | Wait]:
        """The same for messages of one number and lane, in order, up to the first that must wait for it.

        So there may be fewer answers than questions. The patience of the first stands for all.
        """
        durations, ask = self._durations, asks[0]
        arguments = (
            LANES.index(ask.lane) + 1,
            rate_of(ask.mps, durations),
            bucket_of(ask.mps, durations),
            durations.lane_min_share,
            _us(durations.pair_interval_s),
            durations.pair_burst,
            _us(durations.pair_backoff_max_s),
            _us(ask.patience_s),
            _us(durations.lane_return_s),
            _us(durations.rate_recovery_s),
        )
        keys = (_number_key(ask.number), *(pair_key(ask.number, each.customer) for each in asks))
        return [_answer(reply) for reply in await self._client.run_script(_PERMIT, keys, arguments)]

    async def slow(self, number: str, retry_after_s: float | None) -> None:
        """Stop a number, then let it go on at a lower rate that recovers."""
        durations = self._durations
        arguments = (
            -1 if retry_after_s is None else _us(retry_after_s),
            _us(durations.rate_backoff_s),
            _us(durations.rate_backoff_max_s),
            durations.rate_cut,
            durations.rate_floor,
            _us(durations.rate_recovery_s),
        )
        await self._client.run_script(_SLOW, (_number_key(number),), arguments)

    async def back_off_pair(self, number: str, customer: str, n: int) -> None:
        """Nothing more to this customer for 4^n seconds, and no burst after it."""
        durations = self._durations
        arguments = (
            _us(pair_pause_s(n, durations)),
            _us((durations.pair_burst - 1) * durations.pair_interval_s),
            _us(durations.pair_interval_s),
        )
        await self._client.run_script(_PAIR, (pair_key(number, customer),), arguments)


def _answer(reply: Any) -> Permit | Wait:
    match reply:
        case [1]:
            return Permit()
        case [_, wait_us, cause]:
            return Wait(wait_us / 1e6, LimitCause(cause.decode()))
        case _:
            raise AssertionError(f"rate_permit.lua returned {reply!r}")


def _number_key(number: str) -> str:
    return f"rate:number:{number}"


def pair_key(number: str, customer: str) -> str:
    """Key of what is known of a customer's rate; it expires within minutes.

    A number may hold colons, a customer none: two pairs never share a key, nor a pair and a number.
    """
    return f"rate:pair:{number}:{customer}"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
