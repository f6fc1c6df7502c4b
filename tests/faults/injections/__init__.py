"""Faults of servers, networks and the Cloud API."""

from typing import Final

from tests.faults.fault import FaultKind
from tests.faults.injections import cloud_api, network, postgres, rabbitmq, redis

KINDS: Final[tuple[FaultKind, ...]] = (
    *network.KINDS,
    *rabbitmq.KINDS,
    *postgres.KINDS,
    *redis.KINDS,
    *cloud_api.KINDS,
)
