"""The settings: environment variables in, one frozen and validated value out.

Owns the names, defaults and rules of every variable. Does not own durations that a rule fixes
(`shared.durations`) nor reading files and secrets (`shared.settings.environment`).
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
)

from shared.settings.environment import UrlFile, explain, read_numbers, read_variable
from shared.settings.media_url import InvalidMediaUrl, canonical_entry
from shared.settings.near_names import find_unknown
from shared.settings.server_urls import UrlSource, check_url, server_url

#: Variables with a `…_FILE` twin, whose values are never shown.
SECRETS: Final = frozenset(
    {
        "RABBITMQ_URL",
        "RABBITMQ_MANAGEMENT_URL",
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "REDIS_URL",
        "WHATSAPP_ACCESS_TOKEN",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "SUPPRESSION_KEY",
    }
)


class LogLevel(StrEnum):
    """The levels of LOG_LEVEL."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(StrEnum):
    """The formats of LOG_FORMAT."""

    JSON = "json"
    CONSOLE = "console"


def _check_api_url(url: str) -> str:
    if not urlsplit(check_url(url, ("https", "http"))).hostname:
        raise ValueError("must name a host")
    return url.rstrip("/")


def _check_management_url(url: SecretStr) -> SecretStr:
    _check_api_url(url.get_secret_value())
    return url


def _check_headers(headers: SecretStr) -> SecretStr:
    if not all(_HEADER.fullmatch(unquote(pair)) for pair in _split_headers(headers)):
        raise ValueError("must be name=value, separated by commas, in printable ASCII")
    return headers


def _check_key(key: SecretStr) -> SecretStr:
    if len(key.get_secret_value()) < _SHORTEST_KEY:
        raise ValueError(f"must have {_SHORTEST_KEY} characters or more")
    return key


def _split_headers(headers: SecretStr) -> list[str]:
    return [pair.strip() for pair in headers.get_secret_value().split(",") if pair.strip()]


def _split_hosts(hosts: object) -> object:
    if not isinstance(hosts, str):
        return hosts
    return tuple(host.strip().lower() for host in hosts.split(",") if host.strip())


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        try:
            canonical_entry(host)
        except InvalidMediaUrl:
            raise ValueError("must be host names or .suffixes, separated by commas") from None
    return hosts


def _read_flag(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lower() not in ("on", "off", "true", "false"):
        raise ValueError("must be on or off")
    return value.lower() in ("on", "true")


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Amount = Annotated[float, Field(gt=0, le=1_000_000)]
Flag = Annotated[bool, BeforeValidator(_read_flag)]
_SCHEMES: Final[Mapping[str, tuple[str, ...]]] = {
    "RABBITMQ_URL": ("amqp", "amqps"),
    "DATABASE_URL": ("postgresql", "postgres"),
    "REDIS_URL": ("redis", "rediss", "redis+sentinel", "rediss+sentinel"),
}
AmqpUrl = Annotated[SecretStr, server_url(*_SCHEMES["RABBITMQ_URL"])]
ManagementUrl = Annotated[SecretStr, AfterValidator(_check_management_url)]
PostgresUrl = Annotated[SecretStr, server_url(*_SCHEMES["DATABASE_URL"])]
RedisUrl = Annotated[SecretStr, server_url(*_SCHEMES["REDIS_URL"])]
ApiUrl = Annotated[str, AfterValidator(_check_api_url)]
Token = Annotated[SecretStr, Field(min_length=1)]
SuppressionKey = Annotated[SecretStr, AfterValidator(_check_key)]
#: A shorter one is guessed sooner than the phones that it hides.
_SHORTEST_KEY: Final = 16
#: One of them, as OpenTelemetry writes them into a variable.
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*=\s*[!-~]([ -~]*[!-~])?")
Headers = Annotated[SecretStr, AfterValidator(_check_headers)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split_hosts), AfterValidator(_check_hosts)]
NumberId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]


class NumberSettings(BaseModel):
    """What the sender needs to speak for one business number. `mps`: its messages a second."""

    model_config = ConfigDict(frozen=True)

    token: SecretStr | None = None
    mps: Amount
    api_url: ApiUrl


class _NumberOverrides(BaseModel):
    """One number's entry in WHATSAPP_NUMBERS_FILE: what is left out comes from the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Token | None = None
    mps: Amount | None = None
    api_url: ApiUrl | None = None


_Numbers = Mapping[NumberId, _NumberOverrides]


def _default_migration_url(validated: dict[str, Any]) -> SecretStr:
    url: SecretStr = validated["database_url"]
    return url


class Settings(BaseModel):
    """Every setting, under the lower-case name of its variable. Frozen; secrets do not print."""

    model_config = ConfigDict(frozen=True, validate_default=True)

    #: Where the URLs came from that came from files, by variable.
    _url_files: dict[str, str] = PrivateAttr(default_factory=dict)

    rabbitmq_url: AmqpUrl = SecretStr("amqp://guest:guest@127.0.0.1:5672/")
    #: Where RabbitMQ's management plugin answers; `wabus doctor` and `topology check` see bindings there,
    #: `wabus top` rates.
    rabbitmq_management_url: ManagementUrl | None = None
    database_url: PostgresUrl = SecretStr("postgresql://postgres@127.0.0.1:5432/wabus")
    #: Has the right to change the schema; the value of DATABASE_URL where it is not set.
    migration_database_url: PostgresUrl = Field(default_factory=_default_migration_url)
    redis_url: RedisUrl = SecretStr("redis://127.0.0.1:6379/0")

    whatsapp_api_url: ApiUrl = "https://graph.facebook.com"
    whatsapp_api_version: str = Field("v25.0", pattern=r"^v\d+\.\d+$")
    #: Needed by the sender only, which asks for it with `number()`.
    whatsapp_access_token: Token | None = None
    whatsapp_phone_number_id: NumberId = "default"
    whatsapp_number_mps: Amount = 80
    #: The overrides that WHATSAPP_NUMBERS_FILE names, by phone number id.
    whatsapp_numbers: _Numbers = Field(default_factory=dict)
    media_url_allowed_hosts: Hosts = ()

    #: What merchants chose for each shop, as JSON. None: facts are stored, and nothing goes out by itself.
    shops_file: Path | None = None
    #: Whether automatic marketing needs a yes, or only no refusal.
    marketing_consent: Annotated[Literal["required", "not_refused"], BeforeValidator(_lower)] = "required"
    #: Words by which customers consent, and the answers; the resolver reads it. None: the usual ones.
    consent_words_file: Path | None = None
    #: Keeps what a person refused when they are erased, as an HMAC of their addresses. None: nothing stays.
    suppression_key: SuppressionKey | None = None

    lock_ttl_seconds: Amount = 5
    lock_retry_count: int = Field(3, ge=0, le=10)
    conversation_ttl_hours: Amount = 24
    expiry_job_interval_minutes: Amount = 5

    #: None: the worker's own measured default.
    batch_size: int | None = Field(None, ge=1, le=10_000)
    batch_linger_ms: float | None = Field(None, ge=0, le=60_000)
    prefetch: int | None = Field(None, ge=1, le=65535)
    drain_seconds: float = Field(25, ge=0, le=3600)

    metrics_host: str = "127.0.0.1"
    #: None: each kind of worker has its own; 0: a free one.
    metrics_port: int | None = Field(None, ge=0, le=65535)
    #: Whether the queue `inbound.enriched` is declared.
    enriched_queue: Flag = True
    #: What workers consume and publish with: AMQP frames of our own, or aio-pika.
    amqp_client: Annotated[Literal["frames", "pika"], BeforeValidator(_lower)] = "frames"

    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = LogLevel.INFO
    #: None: console on a terminal, else JSON lines.
    log_format: Annotated[LogFormat, BeforeValidator(_lower)] | None = None
    #: Whether customers' addresses are logged unmasked.
    log_pii: Flag = False

    #: Where spans go (OTLP over HTTP, `/v1/traces` below it). None: none are recorded. Standard variables of
    #: OpenTelemetry, as are the others that its SDK reads by itself.
    otel_exporter_otlp_endpoint: ApiUrl | None = None
    #: In place of the one above, whole.
    otel_exporter_otlp_traces_endpoint: ApiUrl | None = None
    otel_exporter_otlp_headers: Headers | None = None
    otel_exporter_otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    #: None: `wabus-` and the worker's name.
    otel_service_name: str | None = None
    otel_sdk_disabled: Flag = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """The settings that `environ` gives; a variable that is empty counts as not set.

        Raises SettingsError: one line with the variable, the rule and, save for secrets, the value.
        """
        raw: dict[str, object] = {}
        for name in cls.variables():
            value = read_variable(environ, name, secret=name in SECRETS)
            if value is not None:
                raw[name.lower()] = value
        if path := environ.get("WHATSAPP_NUMBERS_FILE", "").strip():
            raw["whatsapp_numbers"] = read_numbers(Path(path))
        try:
            settings = cls.model_validate(raw)
        except ValidationError as error:
            raise explain(error, secrets=SECRETS) from None
        for name in _SCHEMES:
            if path := environ.get(f"{name}_FILE", "").strip():
                settings._url_files[name] = path
        return settings

    def url_source(self, name: Literal["RABBITMQ_URL", "DATABASE_URL", "REDIS_URL"]) -> UrlSource:
        """What gives the URL for each new connection: its file, where it came from one, is read again."""
        secret: SecretStr = getattr(self, name.lower())
        url = secret.get_secret_value()
        if (path := self._url_files.get(name)) is None:
            return lambda: url
        return UrlFile(name, path, _SCHEMES[name], url)

    @classmethod
    def variables(cls) -> list[str]:
        """The names of all variables but the numbers' file, which holds many values."""
        return [field.upper() for field in cls.model_fields if field != "whatsapp_numbers"]

    @classmethod
    def unknown(cls, environ: Mapping[str, str]) -> dict[str, str | None]:
        """Variables that nobody reads though they were meant for us, each with the name that is near."""
        known = {*cls.variables(), "WHATSAPP_NUMBERS_FILE", *(f"{name}_FILE" for name in SECRETS)}
        return dict(find_unknown(environ, known))

    def number(self, phone_number_id: str) -> NumberSettings:
        """The token, rate and address of one business number: its own, else the settings'."""
        own = self.whatsapp_numbers.get(phone_number_id, _NumberOverrides())
        return NumberSettings(
            token=own.token or self.whatsapp_access_token,
            mps=own.mps or self.whatsapp_number_mps,
            api_url=own.api_url or self.whatsapp_api_url,
        )

    @property
    def traces_endpoint(self) -> str | None:
        """Where spans are posted; None where none are recorded."""
        if self.otel_sdk_disabled:
            return None
        if self.otel_exporter_otlp_traces_endpoint is not None:
            return self.otel_exporter_otlp_traces_endpoint
        base = self.otel_exporter_otlp_endpoint
        return None if base is None else f"{base}/v1/traces"

    @property
    def traces_headers(self) -> dict[str, str] | None:
        """What is sent with them, such as a key; None: what the SDK finds by itself."""
        given = self.otel_exporter_otlp_headers
        if given is None:
            return None
        pairs = (pair.partition("=") for pair in _split_headers(given))
        return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}

    def metrics_port_or(self, own: int) -> int:
        """Where a worker whose port is `own` serves its metrics and health; 0 is any free one."""
        return own if self.metrics_port is None else self.metrics_port


def tell_unknown(environ: Mapping[str, str]) -> list[str]:
    """One line for each variable that nobody reads though it was meant for us; never its value."""
    return [
        f"{name}: not known" + (f", did you mean {meant}?" if meant else "; `wabus settings` lists what is")
        for name, meant in Settings.unknown(environ).items()
    ]
