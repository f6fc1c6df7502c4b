"""Settings from the environment: every default, every rule, and one plain line for each breach."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import SettingsError
from shared.settings.settings import SECRETS, LogFormat, LogLevel, Settings


def refusal(environ: Mapping[str, str]) -> str:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(environ)
    return str(raised.value)


def write(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    settings = Settings.from_env({})

    assert settings.rabbitmq_url.get_secret_value() == "amqp://guest:guest@127.0.0.1:5672/"
    assert settings.database_url.get_secret_value() == "postgresql://postgres@127.0.0.1:5432/wabus"
    assert settings.redis_url.get_secret_value() == "redis://127.0.0.1:6379/0"
    assert (settings.whatsapp_api_url, settings.whatsapp_api_version) == (
        "https://graph.facebook.com",
        "v25.0",
    )
    assert settings.whatsapp_access_token is None
    assert (settings.whatsapp_phone_number_id, settings.whatsapp_number_mps) == ("default", 80)
    assert settings.media_url_allowed_hosts == ()
    assert (settings.lock_ttl_seconds, settings.lock_retry_count) == (5, 3)
    assert (settings.conversation_ttl_hours, settings.expiry_job_interval_minutes) == (24, 5)
    assert (settings.batch_size, settings.batch_linger_ms, settings.prefetch) == (None, None, None)
    assert settings.drain_seconds == 25
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", None)
    assert settings.enriched_queue is True
    assert (settings.log_level, settings.log_format, settings.log_pii) == (LogLevel.INFO, None, False)


def test_the_migration_url_is_the_database_url_unless_it_is_set() -> None:
    same = Settings.from_env({"DATABASE_URL": "postgresql://a@h/x"})
    other = Settings.from_env(
        {"DATABASE_URL": "postgresql://a@h/x", "MIGRATION_DATABASE_URL": "postgres://b@h/x"}
    )

    assert same.migration_database_url.get_secret_value() == "postgresql://a@h/x"
    assert other.migration_database_url.get_secret_value() == "postgres://b@h/x"


def test_an_empty_or_blank_variable_counts_as_not_set() -> None:
    assert Settings.from_env({"BATCH_SIZE": "", "LOG_LEVEL": "  ", "REDIS_URL": ""}) == Settings.from_env({})


def test_values_are_read_whatever_their_case_and_blanks_around_them() -> None:
    settings = Settings.from_env(
        {
            "LOG_LEVEL": " warn ",
            "LOG_FORMAT": "Console",
            "ENRICHED_QUEUE": "OFF",
            "AMQP_CLIENT": "Pika",
            "LOG_PII": "True",
            "MEDIA_URL_ALLOWED_HOSTS": "CDN.example.org, .Example.com ,",
            "WHATSAPP_API_URL": "http://127.0.0.1:8090/",
        }
    )

    assert (settings.log_level, settings.log_format) == (LogLevel.WARN, LogFormat.CONSOLE)
    assert (settings.enriched_queue, settings.log_pii, settings.amqp_client) == (False, True, "pika")
    assert settings.media_url_allowed_hosts == ("cdn.example.org", ".example.com")
    assert settings.whatsapp_api_url == "http://127.0.0.1:8090"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("LOCK_TTL_SECONDS", "0", "must be greater than 0"),
        ("LOCK_TTL_SECONDS", "soon", "must be a valid number"),
        ("LOCK_RETRY_COUNT", "-1", "must be greater than or equal to 0"),
        ("LOCK_RETRY_COUNT", "2.5", "must be a valid integer"),
        ("CONVERSATION_TTL_HOURS", "inf", "must be less than or equal to"),
        ("EXPIRY_JOB_INTERVAL_MINUTES", "nan", "must be"),
        ("BATCH_SIZE", "0", "must be greater than or equal to 1"),
        ("BATCH_LINGER_MS", "-1", "must be greater than or equal to 0"),
        ("PREFETCH", "65536", "must be less than or equal to 65535"),
        ("DRAIN_SECONDS", "-1", "must be greater than or equal to 0"),
        ("METRICS_PORT", "70000", "must be less than or equal to 65535"),
        ("ENRICHED_QUEUE", "maybe", "must be on or off"),
        ("AMQP_CLIENT", "rabbit", "must be 'frames' or 'pika'"),
        ("LOG_LEVEL", "LOUD", "must be 'DEBUG', 'INFO', 'WARN', 'ERROR' or 'CRITICAL'"),
        ("LOG_FORMAT", "xml", "must be 'json' or 'console'"),
        ("LOG_PII", "2", "must be on or off"),
        ("WHATSAPP_API_URL", "ftp://host", "must start with https:// or http://"),
        ("WHATSAPP_API_URL", "https://", "must name a host"),
        ("WHATSAPP_API_VERSION", "25", "must match pattern"),
        ("WHATSAPP_PHONE_NUMBER_ID", "a b", "must match pattern"),
        ("WHATSAPP_NUMBER_MPS", "0", "must be greater than 0"),
        ("MEDIA_URL_ALLOWED_HOSTS", "https://host", "must be host names or .suffixes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must start with https:// or http://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "must be 'http/protobuf'"),
    ],
)
def test_a_bad_value_is_one_line_with_variable_rule_and_value(name: str, value: str, rule: str) -> None:
    line = refusal({name: value})

    assert line.startswith(f"{name}: {rule}")
    assert line.endswith(f", got {value!r}")
    assert "\n" not in line


_HEADERS = "must be name=value, separated by commas, in printable ASCII"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("RABBITMQ_URL", "http://u:hunter2@host/", "must start with amqp:// or amqps://"),
        ("DATABASE_URL", "mysql://u:hunter2@host/x", "must start with postgresql:// or postgres://"),
        ("MIGRATION_DATABASE_URL", "hunter2", "must start with postgresql:// or postgres://"),
        ("REDIS_URL", "redis://u:hunter2@host:port/", "must name a host and, after a colon, a port number"),
        ("REDIS_URL", "rediss://u:hunt er2@host/", "must be one URL without spaces"),
        *(
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                value,
                "must be name=value, separated by commas, in printable ASCII",
            )
            for value in (
                "hunter2",
                "api key=hunter2",
                "key=hunter2%0A",
                "key=",
                "key=a,hunter2",
                "key=hünter2",
            )
        ),
    ],
)
def test_a_bad_secret_is_told_without_its_value(name: str, value: str, rule: str) -> None:
    assert refusal({name: value}) == f"{name}: {rule}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///wabus?host=/var/run/postgresql",
        "postgresql://u:p%40ss@a:5432,b:5433/x?sslmode=verify-full",
        "postgres://[::1]:5432/x",
    ],
)
def test_every_form_of_a_postgresql_url_is_accepted(url: str) -> None:
    assert Settings.from_env({"DATABASE_URL": url}).database_url.get_secret_value() == url


def test_spans_go_below_the_endpoint_or_to_the_one_of_their_own_or_nowhere() -> None:
    base, own = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    both = {base: "http://collector:4318/", own: "https://other/spans"}

    assert Settings.from_env({}).traces_endpoint is None
    assert Settings.from_env({base: both[base]}).traces_endpoint == "http://collector:4318/v1/traces"
    assert Settings.from_env(both).traces_endpoint == "https://other/spans"
    assert Settings.from_env(both | {"OTEL_SDK_DISABLED": "true"}).traces_endpoint is None


def test_headers_of_the_collector_are_read_as_opentelemetry_writes_them() -> None:
    given = {"OTEL_EXPORTER_OTLP_HEADERS": "Api-Key = k=1, authorization=Bearer%20t"}

    headers = Settings.from_env(given).traces_headers

    assert headers == {"api-key": "k=1", "authorization": "Bearer t"}


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_every_secret_may_come_from_a_file(name: str, tmp_path: Path) -> None:
    schemes = {"RABBITMQ_URL": "amqps", "REDIS_URL": "rediss", "RABBITMQ_MANAGEMENT_URL": "https"}
    scheme = schemes.get(name, "postgresql")
    others = {"WHATSAPP_ACCESS_TOKEN": "EAAtoken", "OTEL_EXPORTER_OTLP_HEADERS": "api-key=k"}
    value = others.get(name, f"{scheme}://u:p@host/x")

    settings = Settings.from_env({f"{name}_FILE": write(tmp_path / "secret", f"{value}\n")})

    assert getattr(settings, name.lower()).get_secret_value() == value


def test_a_twin_that_is_missing_empty_or_beside_its_variable_is_refused(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", "\n")

    missing = refusal({"REDIS_URL_FILE": str(tmp_path / "none")})
    assert missing.startswith("REDIS_URL_FILE: must name a readable file (No such file or directory)")
    assert refusal({"REDIS_URL_FILE": empty}).startswith("REDIS_URL_FILE: must name a file that is not empty")
    both = refusal({"WHATSAPP_ACCESS_TOKEN": "hunter2", "WHATSAPP_ACCESS_TOKEN_FILE": empty})

    assert both == "WHATSAPP_ACCESS_TOKEN_FILE: must not be set together with WHATSAPP_ACCESS_TOKEN"


def test_settings_print_no_secret_and_cannot_be_changed() -> None:
    settings = Settings.from_env(
        {"DATABASE_URL": "postgresql://u:hunter2@h/x", "WHATSAPP_ACCESS_TOKEN": "hunter2"}
    )

    assert "hunter2" not in repr(settings) + str(settings) + settings.model_dump_json()
    with pytest.raises(ValidationError):
        settings.log_pii = True  # type: ignore[misc]


def test_a_number_takes_its_own_values_and_else_the_settings(tmp_path: Path) -> None:
    write(tmp_path / "token", "EAAsecond\n")
    numbers = write(
        tmp_path / "numbers.json",
        {
            "1001": {"token": "EAAfirst", "mps": 20},
            "1002": {"token_file": "token", "api_url": "http://sandbox/"},
        },
    )

    settings = Settings.from_env({"WHATSAPP_NUMBERS_FILE": numbers, "WHATSAPP_ACCESS_TOKEN": "EAAall"})

    first, second, other = (settings.number(number) for number in ("1001", "1002", "1003"))

    assert [number.token and number.token.get_secret_value() for number in (first, second, other)] == [
        "EAAfirst",
        "EAAsecond",
        "EAAall",
    ]
    assert [number.mps for number in (first, second, other)] == [20, 80, 80]
    assert second.api_url == "http://sandbox"
    assert first.api_url == other.api_url == "https://graph.facebook.com"


def test_no_token_is_no_error_until_someone_needs_it() -> None:
    assert Settings.from_env({}).number("1001").token is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "must hold JSON"),
        ([1], "must hold a JSON object of objects, one per number"),
        ({"1001": 5}, "must hold a JSON object of objects, one per number"),
        ({"1001": {"mps": 0}}, "number '1001': 'mps' must be greater than 0, got '0'"),
        (
            {"1001": {"speed": 1}},
            "number '1001': 'speed' is not a known key (token, token_file, mps, api_url)",
        ),
        ({"1001": {"token": ""}}, "number '1001': 'token' must have at least 1 item"),
        ({"1001": {"token": 7}}, "number '1001': 'token' must be a valid string"),
        ({"1001": {"token": "hunter2", "token_file": "x"}}, "number '1001': must give token or token_file"),
        ({"1001": {"token_file": "none"}}, "must name a readable file (No such file or directory)"),
        ({"10 01": {}}, "number '10 01': must match pattern"),
    ],
)
def test_a_bad_file_of_numbers_is_one_line(content: object, told: str, tmp_path: Path) -> None:
    line = refusal({"WHATSAPP_NUMBERS_FILE": write(tmp_path / "numbers.json", content)})

    assert line.startswith(f"WHATSAPP_NUMBERS_FILE: {told}")
    assert "\n" not in line
    assert "hunter2" not in line


def test_each_kind_of_worker_has_its_own_port_unless_one_is_set() -> None:
    settings, moved = Settings.from_env({}), Settings.from_env({"METRICS_PORT": "0"})

    assert settings.metrics_port_or(9101) == 9101
    assert moved.metrics_port_or(9101) == 0


@pytest.mark.parametrize(
    ("name", "url", "rule"),
    [
        ("RABBITMQ_URL", "amqp://host:99999/", "a port number"),
        ("DATABASE_URL", "postgresql://host:65536/wabus", "a port number"),
        ("REDIS_URL", "redis://host:99999/0", "a port number"),
        ("REDIS_URL", "redis://host/?db=x", "db must be a number"),
    ],
)
def test_a_url_that_no_client_could_use_is_one_line(name: str, url: str, rule: str) -> None:
    line = refusal({name: url})

    assert line.startswith(f"{name}: ")
    assert rule in line


def test_a_misspelt_key_of_a_number_never_shows_its_value(tmp_path: Path) -> None:
    numbers = write(tmp_path / "numbers.json", {"1001": {"acces_token": "EAAsecret"}})

    line = refusal({"WHATSAPP_NUMBERS_FILE": numbers})

    assert "'acces_token' is not a known key" in line
    assert "EAAsecret" not in line
