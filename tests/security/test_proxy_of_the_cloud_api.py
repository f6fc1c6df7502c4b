"""A machine that reaches the Cloud API through a proxy: the sender goes there, and doctor on the same way."""

from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from shared.errors import SettingsError
from shared.http_client import find_proxy
from tests.security.test_tls_of_the_cloud_api import variables
from tests.support.http_proxy import HttpProxy, http_proxy
from tests.support.leftovers import count
from tests.support.processes import Processes
from tests.support.program import run_wabus
from tests.support.sending import Sender, text
from tests.support.tls import Authority, tls_front
from tests.support.waiting import until

HOST: Final = "localhost"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), HOST)


async def reached(sender: Sender, environ: dict[str, str]) -> dict[str, Any]:
    """What doctor says of the Cloud API."""
    outcome = await run_wabus("doctor", "--json", environ=sender.cluster.environment() | environ)
    assert "hidden" not in outcome.out + outcome.err
    found = (item for item in outcome.json["findings"] if item["subject"] == "cloud-api")
    return dict(next(item for item in found if item["check"] == "reached"))


async def test_over_tls_messages_go_through_the_proxy_that_the_environment_names(
    sender: Sender, processes: Processes, authority: Authority
) -> None:
    async with tls_front(sender.url, authority) as front, http_proxy() as proxy:
        url = front.url(sender.url, "https", HOST, "").rstrip("/")
        environ = variables(url, authority.certificate) | {"HTTPS_PROXY": with_login(proxy)}
        processes.start("outbound-sender", None, **environ)
        await sender.ask(text())
        await sender.until_status("sent")
        sent = list(proxy.asked)
        found = await reached(sender, environ)

    assert sent == [f"CONNECT {urlsplit(url).netloc}"]
    assert len(await sender.sandbox.messages()) == 1
    assert found["level"] == "ok"
    assert proxy.asked == sent * 2


async def test_in_clear_messages_go_through_the_proxy_unless_no_proxy_names_the_host(
    sender: Sender, processes: Processes
) -> None:
    async with http_proxy() as proxy:
        environ = {"HTTP_PROXY": proxy.url, "NO_PROXY": "127.0.0.1"}
        direct = processes.start("outbound-sender", None, WHATSAPP_API_URL=sender.url, **environ)
        await sender.ask(text())
        await sender.until_status("sent")
        assert proxy.asked == []
        direct.end()

        environ["NO_PROXY"] = "example.com"
        processes.start("outbound-sender", None, WHATSAPP_API_URL=sender.url, **environ)
        await sender.ask(text("c2"))
        await sender.until_status("sent", "c2")

    (asked,) = proxy.asked

    assert asked.startswith(f"POST {sender.url}/")


async def test_a_proxy_that_refuses_is_told_by_doctor_and_nothing_counts_as_sent(
    sender: Sender, processes: Processes, authority: Authority
) -> None:
    async with tls_front(sender.url, authority) as front, http_proxy() as proxy:
        proxy.refuse_with = "403 Forbidden"
        url = front.url(sender.url, "https", HOST, "").rstrip("/")
        environ = variables(url, authority.certificate) | {"HTTPS_PROXY": with_login(proxy)}
        processes.start("outbound-sender", None, **environ)
        await sender.ask(text())
        await until(lambda: _is_tried(sender))
        found = await reached(sender, environ)

    assert (await sender.attempts())[0] == ("failed", "unreachable")
    said = await sender.cluster.conn.fetchval("select error_message from send_attempts limit 1")

    assert "403" in said
    assert "hidden" not in said
    assert found["level"] == "error"
    assert proxy.url.removeprefix("http://") in found["detail"]
    assert "403" in found["detail"]


def with_login(proxy: HttpProxy) -> str:
    return proxy.url.replace("://", "://someone:hidden@")


async def _is_tried(sender: Sender) -> bool:
    return await count(sender.cluster, "send_attempts where outcome is not null") > 0


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://graph.facebook.com", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://graph.facebook.com", "http://p:1"),
        ({"https_proxy": "p:1"}, "https://graph.facebook.com", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://graph.facebook.com", None),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".facebook.com"}, "https://graph.facebook.com", None),
        ({"HTTPS_PROXY": "http://p:1", "no_proxy": "*"}, "https://graph.facebook.com", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "sandbox:9"}, "http://sandbox:9", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "sandbox:9"}, "http://sandbox:8", "http://p:1"),
    ],
)
def test_the_proxy_is_the_one_that_the_environment_means(
    environ: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear(monkeypatch)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    assert find_proxy(url) == proxy


async def test_a_proxy_of_another_kind_is_one_line_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://someone:hidden@p:1")
    with pytest.raises(SettingsError, match="HTTPS_PROXY: must name an http"):
        find_proxy("https://graph.facebook.com")

    outcome = await run_wabus(
        "worker",
        "outbound-sender",
        environ={
            "HTTPS_PROXY": "socks5://p:1",
            "WHATSAPP_ACCESS_TOKEN": "hidden",
            "METRICS_PORT": "0",
            "LOG_FORMAT": "json",
        },
    )

    assert outcome.code == 2
    assert "HTTPS_PROXY: must name" in outcome.out + outcome.err


def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
