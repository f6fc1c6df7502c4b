"""Lines of messages before the rate limiter, without Redis: this process's own part of the rate."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest

from shared.coordination.client import RedisClient
from shared.coordination.permits import LimitCause
from shared.coordination.rate import RateLimiter
from shared.durations import DURATIONS, Durations
from shared.settings.settings import Settings
from tests.unit.test_sender_intake import candidate
from workers.outbound_sender.intake.admission import to_outgoing
from workers.outbound_sender.intake.store import Address
from workers.outbound_sender.message import Outgoing
from workers.outbound_sender.pacing import Pacer

QUICK = replace(DURATIONS, held_in_hand_s=0.2, pair_interval_s=0.001)


def message(customer: int = 0, number: str = "1001") -> Outgoing:
    address = Address(UUID(int=7), number, f"49170000{customer:04}", f"49170000{customer:04}", None)
    return to_outgoing(candidate(), UUID(int=1), address)


@pytest.fixture
async def redis() -> AsyncIterator[RedisClient]:
    client = RedisClient("redis://127.0.0.1:1/0", DURATIONS)
    yield client
    await client.close()


def pacer(redis: RedisClient, mps: float, durations: Durations = QUICK) -> Pacer:
    settings = Settings.from_env({"WHATSAPP_NUMBER_MPS": str(mps)})
    return Pacer(RateLimiter(redis, observe_wait=lambda *_: None, durations=durations), settings, durations)


async def test_a_crowd_waits_in_line_however_long_its_patience(redis: RedisClient) -> None:
    at_once = pacer(redis, mps=100)
    waits = await asyncio.gather(*(at_once.wait(message(customer)) for customer in range(40)))

    assert waits == [None] * 40  # 0.4 s of the rate, of which nobody may wait more than 0.2 s


async def test_a_slowed_number_puts_its_messages_off(redis: RedisClient) -> None:
    slowed = pacer(redis, mps=100)
    await slowed.slow_number("1001", 30)
    refused = await slowed.wait(message())

    assert refused is not None
    assert refused.cause is LimitCause.SLOWED
    assert 29 < refused.wait_s <= 30
