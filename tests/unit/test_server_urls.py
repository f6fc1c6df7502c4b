"""URLs of servers: what is said at once, in one line, and what a client can always make something of."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.amqp.opening import open_connection
from shared.amqp.pika.calling import BROKER_ERRORS
from shared.coordination.client import RedisClient, RedisUnavailable
from shared.errors import SettingsError, StoreUnavailable
from shared.postgres.database import Database
from shared.settings.server_urls import check_server_url, read_server_url, sentinel_service, with_host
from shared.settings.settings import Settings


def refusal(name: str, url: str) -> str:
    with pytest.raises(SettingsError) as told:
        Settings.from_env({name: url})
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "url", "rule"),
    [
        ("DATABASE_URL", "postgresql://h/x?conect_timeout=3", "did you mean connect_timeout?"),
        (
            "DATABASE_URL",
            "postgresql://h/x?statement_timeout=3",
            "has an unknown parameter 'statement_timeout'",
        ),
        ("DATABASE_URL", "postgresql://h/x?connect_timeout=soon", "connect_timeout must be a number"),
        (
            "DATABASE_URL",
            "postgresql://h/x?target_session_attrs=standby",
            "target_session_attrs must be one of",
        ),
        ("DATABASE_URL", "postgresql://h/x?sslmode", "parameters in the form name=value"),
        ("DATABASE_URL", "postgresql://h/x?user=a&user=b", "no parameter twice"),
        (
            "DATABASE_URL",
            "postgresql://h/x?sslnegotiation=direct",
            "sslnegotiation=direct needs sslmode=require",
        ),
        ("DATABASE_URL", "postgresql://u:hunter2%00@h/x", "must not hold a %00"),
        ("DATABASE_URL", "postgresql:///x?host=a,b&port=1,2,3", "must name one port, or as many as hosts"),
        ("DATABASE_URL", "postgresql://h/x?service=s", "service names its own hosts"),
        ("DATABASE_URL", "postgresql://a:1,b:x/x", "must name a host and, after a colon, a port number"),
        ("RABBITMQ_URL", "amqp://h/?connection_timeout=3", "has an unknown parameter 'connection_timeout'"),
        ("RABBITMQ_URL", "amqp://h/?heartbeat=often", "heartbeat must be a number"),
        ("RABBITMQ_URL", "amqp://a:1,b:99999/", "must name a host and, after a colon, a port number"),
        ("RABBITMQ_URL", "amqp://a,[::1],[:::]/", "must name an IPv6 address in its brackets"),
        ("RABBITMQ_URL", "amqps://h/?cadata=eA==", "cadata must be certificates"),
        ("RABBITMQ_URL", "amqp://h/#x", "must not hold a #"),
        ("REDIS_URL", "redis://a,b/0", "must name one host; for several use redis+sentinel://"),
        ("REDIS_URL", "redis://h/0?health_check_interval=x", "health_check_interval must be a number"),
        ("REDIS_URL", "rediss://h/0?ssl_cert_reqs=maybe", "ssl_cert_reqs must be one of"),
        ("REDIS_URL", "redis+sentinel://a,b", "must end in /SERVICE or /SERVICE/DATABASE"),
        ("REDIS_URL", "redis+sentinel://a,b/main/x", "must end in /SERVICE or /SERVICE/DATABASE"),
    ],
)
def test_what_no_client_could_use_is_one_line_at_start(name: str, url: str, rule: str) -> None:
    line = refusal(name, url)

    assert line.startswith(f"{name}: ")
    assert rule in line
    assert "\n" not in line
    assert "hunter2" not in line


def test_several_hosts_are_read_in_their_order_with_their_ports() -> None:
    url = "amqp://us%40er:pass@a:1,[::1],c/vhost?heartbeat=5"
    parts = read_server_url(check_server_url(url, ("amqp",)))

    assert parts.hosts == (("a", 1), ("::1", 5672), ("c", 5672))
    assert (parts.user, parts.password, parts.path) == ("us@er", "pass", "/vhost")
    assert with_host(url, "::1", 5672) == "amqp://us%40er:pass@[::1]:5672/vhost?heartbeat=5"


def test_libpqs_other_ways_to_name_hosts_are_read() -> None:
    behind = read_server_url("postgresql:///x?host=a,b&port=1,2")
    folder = read_server_url("postgresql://%2Frun%2Fpostgresql/x")

    assert behind.hosts == (("a", 1), ("b", 2))
    assert folder.hosts == (("/run/postgresql", 5432),)


def test_a_sentinels_url_names_service_and_database() -> None:
    url = "redis+sentinel://u:p@a:1,b/main/3"

    assert Settings.from_env({"REDIS_URL": url}).redis_url.get_secret_value() == url
    assert sentinel_service(read_server_url(url)) == ("main", "3")
    assert sentinel_service(read_server_url("rediss+sentinel://a/main")) == ("main", "0")


def test_a_rotated_file_is_read_again_and_a_file_of_no_use_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql://u:first@h/x\n")
    source = Settings.from_env({"DATABASE_URL_FILE": str(file)}).url_source("DATABASE_URL")
    assert source() == "postgresql://u:first@h/x"

    file.write_text("postgresql://u:second@h/x\n")
    assert source() == "postgresql://u:second@h/x"

    for unusable in ("", "postgresql://u:hunter2@h:port/x"):
        file.write_text(unusable)
        assert source() == "postgresql://u:second@h/x"
    file.unlink()

    assert source() == "postgresql://u:second@h/x"
    assert "DATABASE_URL_FILE" in caplog.text
    assert "hunter2" not in caplog.text


#: Nobody listens on port 1; what is no host at all is left to the rules.
HOSTS = st.sampled_from(
    ["127.0.0.1:1", "127.0.0.1:1,127.0.0.2:1", "[::1]:1", "", ":1", "a b", "h:x", "h:99999", "["]
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
PARTS = st.one_of(TEXTS, TEXTS.map(lambda text: quote(text, safe="")))
NAMES = st.sampled_from(
    [
        "sslmode",
        "connect_timeout",
        "target_session_attrs",
        "application_name",
        "options",
        "heartbeat",
        "auth",
        "cadata",
        "db",
        "client_name",
        "port",
        "host",
        "service",
        "keepalives_idle",
        "sslnegotiation",
        "x",
    ]
)
VALUES = st.one_of(
    PARTS, st.sampled_from(["0", "1", "plain", "prefer", "require", "any", "read-write", "disable"])
)


@st.composite
def urls(draw: st.DrawFn, *schemes: str) -> str:
    scheme = draw(st.sampled_from(schemes))
    login = draw(st.one_of(st.just(""), st.tuples(PARTS, PARTS).map(lambda pair: f"{pair[0]}:{pair[1]}@")))
    query = "&".join(
        f"{name}={value}" for name, value in draw(st.dictionaries(NAMES, VALUES, max_size=2)).items()
    )
    path = draw(st.one_of(PARTS, st.just("main/0")))
    return f"{scheme}://{login}{draw(HOSTS)}/{path}{'?' if query else ''}{query}"


def accepted(name: str, url: str) -> Settings | None:
    """The settings; None where the URL is refused, in one line."""
    told = ""
    try:
        return Settings.from_env({name: url})
    except SettingsError as refused:
        told = str(refused)
    assert "\n" not in told
    return None


@given(urls("postgresql", "postgres"))
def test_every_postgresql_url_is_refused_or_leads_to_a_server_that_is_away(url: str) -> None:
    async def connect(settings: Settings) -> None:
        database = Database(settings.url_source("DATABASE_URL"))
        with pytest.raises((StoreUnavailable, SettingsError)):
            await database.fetchval("select 1")
        await database.close()

    if settings := accepted("DATABASE_URL", url):
        asyncio.run(connect(settings))


@given(urls("amqp", "amqps"))
def test_every_rabbitmq_url_is_refused_or_leads_to_a_server_that_is_away(url: str) -> None:
    async def connect(settings: Settings) -> None:
        with pytest.raises(BROKER_ERRORS):
            await open_connection(settings.url_source("RABBITMQ_URL"))

    if settings := accepted("RABBITMQ_URL", url):
        asyncio.run(connect(settings))


@given(urls("redis", "rediss", "redis+sentinel", "rediss+sentinel"))
def test_every_redis_url_is_refused_or_leads_to_a_server_that_is_away(url: str) -> None:
    async def connect(settings: Settings) -> None:
        client = RedisClient(settings.url_source("REDIS_URL"))
        with pytest.raises(RedisUnavailable):
            await client.ping()
        await client.close()

    if settings := accepted("REDIS_URL", url):
        asyncio.run(connect(settings))
