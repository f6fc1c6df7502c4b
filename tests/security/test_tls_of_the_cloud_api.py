"""TLS to the Cloud API: messages and the token go only to who proves, by a known authority, to be it."""

import ssl
from pathlib import Path
from typing import Final

import pytest

from tests.support.leftovers import count
from tests.support.processes import Processes
from tests.support.sending import NUMBER, Sender, text
from tests.support.tls import HANDSHAKE, Authority, tls_front
from tests.support.waiting import until

HOST: Final = "localhost"
UNVERIFIED: Final = "certificate verify failed"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"), HOST)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("stranger"), HOST)


def variables(url: str, known: Path) -> dict[str, str]:
    """Of a sender on a machine where this authority alone is known."""
    assert ssl.get_default_verify_paths().openssl_cafile_env == "SSL_CERT_FILE"
    settings = {"WHATSAPP_API_URL": url, "WHATSAPP_PHONE_NUMBER_ID": NUMBER, "WHATSAPP_NUMBER_MPS": "1000"}
    return settings | {"SSL_CERT_FILE": str(known), "SSL_CERT_DIR": str(known.parent / "none")}


async def test_a_message_goes_to_an_api_that_proves_who_it_is(
    sender: Sender, processes: Processes, authority: Authority
) -> None:
    async with tls_front(sender.url, authority) as front:
        url = front.url(sender.url, "https", HOST, "").rstrip("/")
        processes.start("outbound-sender", None, **variables(url, authority.certificate))
        await sender.ask(text())
        await sender.until_status("sent")

    assert set(front.beginnings) == {HANDSHAKE}
    assert len(await sender.sandbox.messages()) == 1


@pytest.mark.parametrize("wrong", ["authority", "host"])
async def test_nothing_is_sent_to_an_api_that_proves_nothing(
    sender: Sender, processes: Processes, authority: Authority, stranger: Authority, wrong: str
) -> None:
    known = stranger if wrong == "authority" else authority
    async with tls_front(sender.url, authority) as front:
        url = front.url(sender.url, "https", HOST if wrong == "authority" else "127.0.0.1", "").rstrip("/")
        program = processes.start("outbound-sender", None, **variables(url, known.certificate))
        await sender.ask(text())
        await until(lambda: _is_tried(sender))
    assert await sender.attempts() == [("failed", "unreachable")]
    said = await sender.cluster.conn.fetchval("select error_message from send_attempts")

    assert UNVERIFIED in said.lower().replace("_", " ")
    assert await sender.sandbox.messages() == []
    assert set(front.beginnings) == {HANDSHAKE}
    assert "secret-token" not in program.log.read_text()


async def _is_tried(sender: Sender) -> bool:
    return await count(sender.cluster, "send_attempts where outcome is not null") > 0
