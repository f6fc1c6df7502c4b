"""The secrets that `deploy/secrets.sh` writes open the servers for whom `docker-compose.yml` means them."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import asyncpg
import pytest
import requests
import yaml

from tests.support.checkers import checker
from tests.support.databases import Administrator, with_login
from tests.support.servers import Servers

ROOT: Final = Path(__file__).resolve().parents[3]
ROLES: Final = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["roles"]
ADMINISTRATOR: Final = "wabus-of-compose"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run(["sh", "deploy/secrets.sh", folder], check=True, cwd=ROOT, capture_output=True)
    return folder


@pytest.fixture
def roles(database_url: str, secrets: Path, administrator: Administrator) -> Iterator[None]:
    """What the service `roles` does, on the test's server and by its files."""
    owner = urlsplit(database_url)
    (secrets / "postgres_password").write_text(owner.password or "")
    mounted = {
        target: str(ROOT / source) for source, target, _ in (volume.split(":") for volume in ROLES["volumes"])
    }
    shell, option, script, name = ROLES["entrypoint"]
    script = script.replace("$$", "$").replace("/run/secrets", str(secrets))
    environ = {
        "PATH": f"{checker('initdb').parent}:{os.environ['PATH']}",
        "PGHOST": owner.hostname or "",
        "PGPORT": str(owner.port or 5432),
        "PGUSER": owner.username or "",
        "PGDATABASE": owner.path[1:],
    }
    words = [mounted.get(word, word) for word in ROLES["command"]]
    for _ in range(2):
        subprocess.run([shell, option, script, name, *words], check=True, env=environ)
    yield
    administrator.execute("drop role wabus_app")


async def test_the_service_of_roles_makes_the_login_by_which_workers_sign_in(
    roles: None, database_url: str, secrets: Path
) -> None:
    login = urlsplit((secrets / "DATABASE_URL").read_text())

    conn = await asyncpg.connect(with_login(database_url, login.username or "", login.password or ""))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute("create table mine (id integer)")
        assert await conn.fetchval("select count(*) from message_tracking") == 0
    finally:
        await conn.close()


@pytest.fixture
def users(servers: Servers, secrets: Path) -> Iterator[dict[str, Any]]:
    """The broker's definitions, taken by a broker; its users are gone at the end.

    Their administrator has another name: the session's own may have that one.
    """
    api = f"{servers.rabbitmq_management_url}/api"
    definitions = (secrets / "rabbitmq_definitions.json").read_text()
    told: dict[str, Any] = json.loads(definitions.replace('"wabus"', f'"{ADMINISTRATOR}"'))
    requests.post(f"{api}/definitions", json=told, timeout=30).raise_for_status()
    yield told
    for user in told["users"]:
        requests.delete(f"{api}/users/{user['name']}", timeout=30).raise_for_status()


async def test_a_broker_takes_its_users_with_their_passwords_and_permissions(
    users: dict[str, Any], servers: Servers, secrets: Path
) -> None:
    listed = await asyncio.to_thread(
        requests.get, f"{servers.rabbitmq_management_url}/api/permissions", timeout=30
    )

    names = {user["name"] for user in users["users"]}
    found = [entry for entry in listed.json() if entry["user"] in names]
    assert sorted(found, key=str) == sorted(users["permissions"], key=str)
    here = urlsplit(servers.rabbitmq_url)
    workers = urlsplit((secrets / "RABBITMQ_URL").read_text())
    logins = {ADMINISTRATOR: workers.password or ""}
    logins |= {name: (secrets / f"{name}_password").read_text() for name in ("gateway", "agents")}
    for name, password in logins.items():
        url = urlunsplit(here._replace(netloc=f"{name}:{password}@{here.hostname}:{here.port}", path="/"))
        await (await aio_pika.connect(url)).close()
