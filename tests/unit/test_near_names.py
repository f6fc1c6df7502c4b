"""Variables that were meant to be settings are named; those of others are not."""

import pytest

from shared.settings.settings import SECRETS, Settings, tell_unknown


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WHATSAPP_ACESS_TOKEN", "WHATSAPP_ACCESS_TOKEN"),
        ("WHATSAPP_NUMBER_FILE", "WHATSAPP_NUMBERS_FILE"),
        ("RABBIT_URL", "RABBITMQ_URL"),
        ("RABBITMQ_URI", "RABBITMQ_URL"),
        ("REDSI_URL", "REDIS_URL"),
        ("DATABASE_URLS", "DATABASE_URL"),
        ("DATABSE_URL_FILE", "DATABASE_URL_FILE"),
        ("BATCHSIZE", "BATCH_SIZE"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("log_level", "LOG_LEVEL"),
        ("DRAIN_SECOND", "DRAIN_SECONDS"),
        ("METRIC_PORT", "METRICS_PORT"),
        ("OTEL_EXPORTER_OTLP_ENDPOINTS", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    ],
)
def test_a_name_that_is_almost_a_setting_is_told_with_the_setting(name: str, meant: str) -> None:
    assert tell_unknown({name: "hunter2"}) == [f"{name}: not known, did you mean {meant}?"]


def test_a_name_with_our_prefix_is_told_even_where_it_is_near_to_none() -> None:
    (line,) = tell_unknown({"WHATSAPP_SENDING_RATE": "hunter2"})

    assert line == "WHATSAPP_SENDING_RATE: not known; `wabus settings` lists what is"


@pytest.mark.parametrize(
    "name",
    [
        *("AMQP_URL", "DB_URL", "TEST_DATABASE_URL", "DATABASE_USER", "DATABASE_HOST", "PGHOST"),
        *("RABBITMQ_MANAGEMENT_URL", "RABBITMQ_NODE_PORT", "RABBITMQ_LOGS", "REDIS_PORT", "REDIS_HOST"),
        *("LOGNAME", "LOG_FILE", "LOG_DIR", "BATCH", "METRICS", "PATH", "HOME", "LANG", "SHELL", "URL"),
        *("WHATSAPP_GATEWAY_SERVICE_HOST", "WHATSAPP_GATEWAY_PORT", "WHATSAPP_GATEWAY_PORT_80_TCP_PROTO"),
        *(
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_BSP_SCHEDULE_DELAY",
        ),
        *(
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
        ),
        *(
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_LOG_LEVEL",
            "OTEL_PROPAGATORS",
        ),
        *("WABUS_SERVICE_PORT_HTTP", "REDIS_PORT_6379_TCP_ADDR", "RABBITMQ_SERVICE_HOST"),
    ],
)
def test_variables_of_others_are_not_told(name: str) -> None:
    assert tell_unknown({name: "x"}) == []


def test_no_setting_is_told_whatever_its_neighbour() -> None:
    known = [*Settings.variables(), "WHATSAPP_NUMBERS_FILE", *(f"{name}_FILE" for name in SECRETS)]

    assert tell_unknown(dict.fromkeys(known, "x")) == []
