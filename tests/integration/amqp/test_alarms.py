"""A RabbitMQ whose alarm holds publishers: doctor publishes as workers do, and says which alarm it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.own_rabbitmq import OwnRabbitMQ
from tests.support.program import run_wabus

#: Erlang that raises each alarm, and that ends it.
ALARMS: dict[str, tuple[str, str]] = {
    "low on memory": (
        "vm_memory_monitor:set_vm_memory_high_watermark(0.00001).",
        "vm_memory_monitor:set_vm_memory_high_watermark(0.4).",
    ),
    "low on disk": (
        'rabbit_disk_monitor:set_disk_free_limit("900000GB").',
        'rabbit_disk_monitor:set_disk_free_limit("50MB").',
    ),
}


@pytest.fixture
def environ(own_rabbitmq: OwnRabbitMQ, database_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    yield {"RABBITMQ_URL": own_rabbitmq.url, "DATABASE_URL": database_url, "REDIS_URL": redis_url}
    for _, end in ALARMS.values():
        own_rabbitmq.evaluate(end)


@pytest.mark.parametrize("alarm", ALARMS)
async def test_publishers_that_an_alarm_holds_are_an_error_that_names_it(
    own_rabbitmq: OwnRabbitMQ, environ: dict[str, str], alarm: str
) -> None:
    start, end = ALARMS[alarm]
    assert (await publishing(environ))["level"] == "ok"

    own_rabbitmq.evaluate(start)
    held = await publishing(environ)
    own_rabbitmq.evaluate(end)

    assert held["level"] == "error"
    assert alarm in held["detail"]
    assert "alarms" in held["mend"]
    assert (await publishing(environ))["level"] == "ok"


async def publishing(environ: dict[str, str]) -> dict[str, Any]:
    findings = (await run_wabus("doctor", "--json", environ=environ)).json["findings"]
    (finding,) = (item for item in findings if (item["subject"], item["check"]) == ("rabbitmq", "publishing"))
    return dict(finding)
