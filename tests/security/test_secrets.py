"""A secret is in no log, error, metric, health answer, row, event, dead letter or list of processes.

The canaries look like nothing that masking knows: they are absent because nothing shows them.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings.settings import SECRETS, Settings
from tests.support.cluster import Cluster
from tests.support.http import get
from tests.support.leftovers import count
from tests.support.people import take_snapshot
from tests.support.processes import Processes, Program
from tests.support.program import run_wabus
from tests.support.sending import NUMBER, text
from tests.support.servers import Servers
from tests.support.waiting import until

CANARY = "sesame7f3a91opensesame"
TOKEN = "tallship55c2sailing"


def seen_in_processes(secret: str) -> list[str]:
    """Command lines of this machine's processes that show it."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    assert lines
    return [line for line in lines if secret in line]


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    user = parts.username or ""
    return parts._replace(netloc=f"{user}:{password}@{parts.hostname}:{parts.port}").geturl()


async def shown_by(program: Program) -> str:
    """Everything that a worker shows of itself."""
    url = await program.url()
    answers = [await get(url, path) for path in ("/metrics", "/health", "/health/ready", "/health/live")]
    return program.log.read_text() + repr(answers)


async def test_servers_that_refuse_the_password_are_told_without_it(
    cluster: Cluster, processes: Processes, servers: Servers
) -> None:
    first = processes.start(
        "inbound-resolver",
        LOG_LEVEL="DEBUG",
        DATABASE_URL=with_password(servers.database_url, CANARY),
        REDIS_URL=with_password(servers.redis_url, CANARY),
    )
    second = processes.start(
        "scheduler",
        LOG_LEVEL="DEBUG",
        RABBITMQ_URL=with_password(cluster.rabbitmq_url, CANARY),
        REDIS_URL=with_password(servers.redis_url, CANARY),
    )
    await first.until_says("PostgreSQL is away")
    await second.until_says("RabbitMQ at")
    for program in (first, second):
        assert CANARY not in await shown_by(program)
    assert seen_in_processes(CANARY) == []
    urls = {
        "DATABASE_URL": with_password(servers.database_url, CANARY),
        "REDIS_URL": with_password(servers.redis_url, CANARY),
        "RABBITMQ_URL": with_password(cluster.rabbitmq_url, CANARY),
    }
    for arguments in (
        ("doctor",),
        ("doctor", "--json"),
        ("migrate",),
        ("topology", "check"),
        ("dlq", "list"),
    ):
        outcome = await run_wabus(*arguments, environ=urls)
        assert outcome.code == 1
        assert CANARY not in outcome.out + outcome.err


@asynccontextmanager
async def indiscreet_platform() -> AsyncIterator[str]:
    """A Cloud API that repeats the token in its answers: to 1 invalid, to 2 unauthorised, to 3 nonsense."""

    async def answer(request: web.Request) -> web.StreamResponse:
        said = f"Malformed access token {request.headers['Authorization']} in {dict(request.headers)}"
        body = await request.json()
        match body["to"][-1]:
            case "1":
                error = {"code": 131009, "message": said, "error_data": {"details": said}}
                return web.json_response({"error": error}, status=400)
            case "2":
                return web.json_response({"error": {"code": 190, "message": said}}, status=401)
            case _:
                return web.Response(text=said, status=502, headers={"X-Said": said.replace("\n", "")})

    app = web.Application()
    app.router.add_post("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_a_platform_that_repeats_the_token_spreads_it_nowhere(
    cluster: Cluster, processes: Processes
) -> None:
    async with indiscreet_platform() as url:
        cluster.environ |= {
            "WHATSAPP_API_URL": url,
            "WHATSAPP_ACCESS_TOKEN": TOKEN,
            "WHATSAPP_PHONE_NUMBER_ID": NUMBER,
            "LOG_LEVEL": "DEBUG",
        }
        started = [processes.start(name) for name in ("outbound-sender", "dlq-handler")]
        for program in started:
            await program.until_ready()
        for number, ends in (
            (1, "dead_letter_queue where reason = 'send_rejected'"),
            (3, "send_attempts where outcome = 'ambiguous' or http_status = 502"),
            (2, "business_numbers where state = 'paused'"),
        ):
            await cluster.publish("wa.outbound", "reply.x", text(f"c{number}", f"4917000000{number}"))
            await until(partial(_exists, cluster, ends))
        shown = [await shown_by(program) for program in started]
    rows = await take_snapshot(cluster.conn)
    told = [repr((item.headers, item.body)) for item in cluster.events]
    assert any("Malformed access token" in line for lines in rows.values() for line in lines)
    for secret in (TOKEN, urlsplit(cluster.rabbitmq_url).password or CANARY):
        assert [name for name, lines in rows.items() if secret in "".join(lines)] == []
        assert not any(secret in item for item in (*shown, *told))
        assert seen_in_processes(secret) == []


async def _exists(cluster: Cluster, rows: str) -> bool:
    return await count(cluster, rows) > 0


async def test_the_stacks_own_passwords_are_in_no_command_line(servers: Servers) -> None:
    urls = (servers.rabbitmq_url, servers.database_url, servers.redis_url, servers.rabbitmq_management_url)
    passwords = {urlsplit(url).password for url in urls} - {None, "", "guest"}
    for password in passwords:
        assert seen_in_processes(str(password)) == []


@pytest.mark.parametrize("name", sorted(SECRETS))
@example("amqp://u:{}@ho\u2100st/")
@example("postgresql://u:{}@[::1/")
@example("postgresql://u:{}@h:port/w?sslmode=x&sslrootcert=/none")
@example("rediss://u:{}@h/0?ssl_ca_certs=/none")
@example("redis://u:{}@h/0?password={}&x={}")
@given(
    st.one_of(
        st.text(max_size=30).map(lambda text: text.replace("{", "").replace("}", "") + "{}"),
        st.tuples(
            st.sampled_from(["amqp", "amqps", "postgresql", "redis", "rediss", "http", ""]),
            st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=12),
        ).map(lambda parts: f"{parts[0]}://user:{{}}@{parts[1]}"),
    )
)
def test_a_bad_secret_is_told_without_it(name: str, value: str) -> None:
    try:
        settings = Settings.from_env({name: value.replace("{}", CANARY)})
        shown = repr(settings) + str(settings) + settings.model_dump_json()
    except SettingsError as error:
        shown = f"{error} {error.__cause__}"

    assert CANARY not in shown
    assert "\n" not in shown


def test_a_secret_in_a_file_is_told_by_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"http://user:{CANARY}@host/")
    (tmp_path / "numbers").write_text(f'{{"1001": {{"token": "{CANARY}", "mps": "{CANARY[:3]}"}}}}')
    for name, path in (("RABBITMQ_URL_FILE", "secret"), ("WHATSAPP_NUMBERS_FILE", "numbers")):
        with pytest.raises(SettingsError) as refusal:
            Settings.from_env({name: str(tmp_path / path)})
        assert CANARY not in str(refusal.value)


async def test_a_worker_keeps_its_secrets_out_of_its_argv(cluster: Cluster, processes: Processes) -> None:
    program = processes.start_shipped("outbound-sender", WHATSAPP_ACCESS_TOKEN=TOKEN)
    await program.until_ready()

    assert any("outbound-sender" in line for line in seen_in_processes("outbound-sender"))
    assert seen_in_processes(TOKEN) == []
