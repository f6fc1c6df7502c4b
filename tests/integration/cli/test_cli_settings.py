"""`wabus settings` as a program, and what every program says of variables that are no settings."""

import json
import re
from pathlib import Path

import pytest

from tests.support.program import run_wabus
from workers.registry import METRICS_PORTS

#: Nothing listens there.
AWAY = {
    "DATABASE_URL": "postgresql://u@127.0.0.1:1/wabus",
    "RABBITMQ_URL": "amqp://u:p@127.0.0.1:1/",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
MISSPELT = {"WHATSAPP_ACESS_TOKEN": "tallship55c2", "BATCHSIZE": "7"}
TOLD = (
    "BATCHSIZE: not known, did you mean BATCH_SIZE?",
    "WHATSAPP_ACESS_TOKEN: not known, did you mean WHATSAPP_ACCESS_TOKEN?",
)


async def test_what_is_in_force_is_shown_with_where_it_comes_from_and_no_secret(tmp_path: Path) -> None:
    # Given a value of each kind of source
    database, numbers = tmp_path / "database", tmp_path / "numbers.json"
    database.write_text("postgresql://ann:sesame7f3a@db.example:5433/wabus?sslmode=prefer\n")
    numbers.write_text(json.dumps({"1001": {"token": "sesame7f3a", "mps": 20}}))
    environ = {
        "DATABASE_URL_FILE": str(database),
        "RABBITMQ_URL": "amqp://ann:sesame7f3a@mq.example/",
        "WHATSAPP_ACCESS_TOKEN": "sesame7f3a",
        "WHATSAPP_NUMBERS_FILE": str(numbers),
        "MEDIA_URL_ALLOWED_HOSTS": "cdn.example, .example.org",
        "BATCHSIZE": "sesame7f3a",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://ann:sesame7f3a@collector.example:4318/",
        "OTEL_EXPORTER_OTLP_HEADERS": "api-key=sesame7f3a,where=https://example",
    }

    # When it is shown to a program and to a person
    outcome = await run_wabus("settings", "--json", environ=environ)
    table = await run_wabus("settings", environ=environ)

    # Then every setting is there once, with its source, and secrets are masked
    assert (outcome.code, table.code) == (0, 0)
    shown = {item["name"]: (item["value"], item["source"]) for item in outcome.json["settings"]}

    assert shown["DATABASE_URL"] == (
        "postgresql://***@db.example:5433/wabus?sslmode=prefer",
        f"file {database}",
    )
    assert shown["MIGRATION_DATABASE_URL"] == (shown["DATABASE_URL"][0], "DATABASE_URL")
    assert shown["RABBITMQ_URL"] == ("amqp://***@mq.example/", "environment")
    assert shown["WHATSAPP_ACCESS_TOKEN"] == ("***", "environment")
    assert shown["MEDIA_URL_ALLOWED_HOSTS"] == (["cdn.example", ".example.org"], "environment")
    assert shown["WHATSAPP_NUMBERS_FILE"] == (str(numbers), "environment")
    assert shown["OTEL_EXPORTER_OTLP_ENDPOINT"] == ("https://***@collector.example:4318", "environment")
    assert shown["OTEL_EXPORTER_OTLP_HEADERS"] == ("***", "environment")
    assert shown["LOG_LEVEL"] == ("INFO", "default")
    assert shown["BATCH_SIZE"] == (None, "default")
    assert outcome.json["numbers"] == [
        {"number": "1001", "token": "***", "mps": 20.0, "api_url": "https://graph.facebook.com"}
    ]
    assert outcome.json["unknown"] == [{"name": "BATCHSIZE", "meant": "BATCH_SIZE"}]
    assert all(name in table.out for name in shown)
    assert "sesame7f3a" not in outcome.out + outcome.err + table.out + table.err


@pytest.mark.parametrize(
    "command",
    [
        "migrate --dry-run",
        "topology check",
        "doctor",
        "dlq list",
        "message show x",
        "campaign status",
        "number list",
        "profile show 491700000001",
        "sandbox --statuses amqp",
        "settings",
    ],
)
async def test_every_command_names_variables_that_are_no_settings(command: str) -> None:
    environ = AWAY | MISSPELT
    if command.startswith("sandbox"):
        environ = MISSPELT  # it would run on; without a server for its statuses it ends

    outcome = await run_wabus(*command.split(), environ=environ)

    assert outcome.err.splitlines()[:2] == [f"wabus: {line}" for line in TOLD]
    assert "tallship55c2" not in outcome.out + outcome.err


@pytest.mark.parametrize("name", METRICS_PORTS)
async def test_every_worker_names_variables_that_are_no_settings(name: str) -> None:
    # An address that is not ours ends it at its start, with the port where it would have been asked
    ending = {"METRICS_HOST": "203.0.113.7", "WHATSAPP_ACCESS_TOKEN": "t"}

    outcome = await run_wabus("worker", name, "--json", environ=AWAY | MISSPELT | ending)

    lines = [json.loads(line) for line in re.findall(r"^\{.*\}$", outcome.out + outcome.err, re.MULTILINE)]

    assert outcome.code == 2
    assert [(line["level"], line["message"]) for line in lines[:2]] == [("WARN", line) for line in TOLD]
    assert lines[-1]["message"].endswith(f"got {METRICS_PORTS[name]}")
