"""Nothing of ours fetches a media URL, and the list of allowed hosts takes only what can match a host."""

import ast
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import SettingsError
from shared.settings.media_url import InvalidMediaUrl, check_media_url
from shared.settings.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CLIENTS: Final = frozenset(
    {"aiohttp", "requests", "httpx", "urllib3", "urllib.request", "http.client", "ftplib"}
)
#: What speaks HTTP, and to whom.
SPEAKERS: Final = {
    "shared/observability/server.py": "serves health and metrics",
    "shared/http_client.py": "how the Cloud API is asked, by the sender and by doctor",
    "shared/amqp/management.py": "doctor's look at RabbitMQ's management, as the settings say",
    "workers/outbound_sender/calling/cloud_api.py": "the Cloud API, as the settings say, without redirects",
    "workers/cli/diagnosis/cloud_api.py": "doctor's look at the same address",
}


def test_only_the_cloud_api_is_asked_over_http() -> None:
    found = set()
    for path in (
        path for folder in ("shared", "workers", "schema") for path in (ROOT / folder).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {node.module or ""}
            else:
                continue
            if any(name in CLIENTS or name.partition(".")[0] in CLIENTS for name in names):
                found.add(str(path.relative_to(ROOT)))
    assert found == SPEAKERS.keys()
    sender = (ROOT / "workers/outbound_sender/calling/cloud_api.py").read_text()

    assert sender.count("allow_redirects=False") == sender.count("_session.post(") == 1


@pytest.mark.parametrize(
    "entry",
    ["10.0.0", "0x7f.1", "1.2.3.4.5", "-a.org", "a-.org", ".1.2.3.4", ".", "..a", "[a]", "a b", "1", "*.a"],
)
def test_an_entry_that_matches_no_host_is_a_bad_setting(entry: str) -> None:
    with pytest.raises(SettingsError, match="MEDIA_URL_ALLOWED_HOSTS"):
        Settings.from_env({"MEDIA_URL_ALLOWED_HOSTS": f"good.org,{entry}"})


@given(st.text(st.characters(codec="utf-8", exclude_characters=","), min_size=1, max_size=20))
def test_an_entry_that_is_taken_can_be_matched(entry: str) -> None:
    try:
        hosts = Settings.from_env({"MEDIA_URL_ALLOWED_HOSTS": entry}).media_url_allowed_hosts
    except SettingsError:
        return
    for host in hosts:
        named = (
            f"x{host}" if host.startswith(".") else f"[{host}]" if ":" in host and "[" not in host else host
        )
        check_media_url(f"https://{named}/", hosts)


@given(st.integers(0, 2**32 - 1))
def test_an_address_in_any_other_notation_is_refused(number: int) -> None:
    a, rest = number >> 24, number & 0xFFFFFF
    for host in (
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{rest}",
        f"{a:#x}.{rest:#x}",
        f"0{a:o}.0.0.1",
    ):
        with pytest.raises(InvalidMediaUrl):
            check_media_url(f"http://{host}/", ())
