"""Faults of servers, networks and the Cloud API, and the trouble of one number or one customer."""

from typing import Final

from tests.faults.fault import FaultKind
from tests.faults.injections import cloud_api, locked_row, network, numbers, postgres, rabbitmq, redis

KINDS: Final[tuple[FaultKind, ...]] = (
    *network.KINDS,
    *rabbitmq.KINDS,
    *postgres.KINDS,
    *redis.KINDS,
    *cloud_api.KINDS,
    *numbers.KINDS,
    *locked_row.KINDS,
)
