"""What a frame of the size that the server allows takes: the properties of every publication, by a rule."""

import string
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.frame import unmarshal
from pamqp.header import ContentHeader

from shared.amqp.delivery import (
    ATTEMPTS,
    DEFERRED_ID,
    ERROR,
    EXCHANGE,
    FIRST_SEEN,
    IDEMPOTENCY_KEY,
    MESSAGE_ID,
    REASON,
    REPLAY_OF,
    ROUTING_KEY,
    SOURCE_QUEUE,
    TRACEPARENT,
    Publication,
)
from shared.amqp.pika.publisher import PikaHeaderWriter
from shared.amqp.properties import DROPPED_HEADERS, write_header
from shared.errors import Unpublishable

NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
#: The least that AMQP allows, what an operator sets, and RabbitMQ's own.
FRAMES: Final = (4096, 8192, 131_072)
OURS: Final = (EXCHANGE, FIRST_SEEN, MESSAGE_ID, REPLAY_OF, ROUTING_KEY, "x-wabus-status-retry")
VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
)
NAMES: Final = st.text(string.printable, max_size=255) | st.text(max_size=255) | st.sampled_from(OURS)


def written(frame_max: int, **fields: Any) -> dict[str, Any]:
    """Headers as they stand in the one frame, which is no larger than the server takes."""
    given_fields: dict[str, Any] = {
        "exchange": "wa.dlx",
        "routing_key": "inbound-resolver",
        "body": b"{}",
        "type": "InboundMessage",
        "idempotency_key": "key",
        "correlation_id": "trace",
    }
    writer = PikaHeaderWriter(1, NOW)
    frame = write_header(writer, frame_max, Publication(**given_fields | fields), "m" * 36)
    assert len(frame) <= frame_max
    _, _, header = unmarshal(frame)
    assert isinstance(header, ContentHeader)
    headers: dict[str, Any] = dict(header.properties.headers or {})
    return headers


@pytest.mark.parametrize("frame_max", FRAMES)
def test_headers_that_fit_are_all_there(frame_max: int) -> None:
    headers = {"large": "x" * (frame_max - 1000), "small": 1}

    assert written(frame_max, headers=headers).items() >= headers.items()


@pytest.mark.parametrize("frame_max", FRAMES)
@pytest.mark.parametrize(
    "large", [lambda n: "x" * n, lambda n: {"a": ["y" * (n // 2), "z" * (n // 2)]}], ids=["text", "nested"]
)
def test_the_largest_foreign_header_goes_first_and_is_named(frame_max: int, large: Any) -> None:
    kept = {"small": "kept", EXCHANGE: "wa.inbound", REASON: "invalid_payload"}

    headers = written(frame_max, headers=kept | {"large": large(frame_max)})

    assert "large" not in headers
    assert headers[DROPPED_HEADERS] == "large"
    assert headers.items() >= kept.items()


def test_many_small_ones_go_until_the_rest_fits() -> None:
    many = {f"header-{number:05}": "x" * 20 for number in range(400)}

    headers = written(8192, headers=many | {REPLAY_OF: "1"})

    assert headers[REPLAY_OF] == "1"
    assert 150 < len(headers) < 400


def test_the_error_is_cut_only_when_no_foreign_header_is_left() -> None:
    error = "ä" * 3000

    headers = written(4096, headers={ERROR: error, "foreign": "x" * 1000, REASON: "invalid_payload"})

    assert headers[REASON] == "invalid_payload"
    assert headers[DROPPED_HEADERS] == "foreign"
    assert error.startswith(headers[ERROR])
    assert 1000 < len(headers[ERROR]) < 3000


@pytest.mark.parametrize("strange", [10**30, "\ud800", object(), {"deep": 10**30}], ids=type)
def test_what_no_encoder_takes_goes_and_is_named(strange: Any) -> None:
    headers = written(131_072, headers={"strange": strange, "small": "kept"})

    assert (headers["small"], headers[DROPPED_HEADERS]) == ("kept", "strange")


def test_what_is_ours_and_cannot_be_written_is_said() -> None:
    with pytest.raises(Unpublishable):
        written(131_072, idempotency_key="\ud800")


@given(
    st.dictionaries(NAMES, VALUES, max_size=40),
    st.sampled_from(FRAMES),
    st.text(max_size=4000),
    st.sampled_from([1, 100, 255]),
)
def test_whatever_was_written_into_headers_a_copy_fits(
    foreign: dict[str, Any], frame_max: int, error: str, length: int
) -> None:
    """With the longest names that AMQP has for an exchange, a key and a queue, and the longest of keys."""
    named = dict.fromkeys((EXCHANGE, ROUTING_KEY, SOURCE_QUEUE), "n" * length)

    headers = written(
        frame_max,
        headers={
            **foreign,
            **named,
            REASON: "unexpected_error",
            ERROR: error,
            ATTEMPTS: 5,
            DEFERRED_ID: "d" * 36,
        },
        idempotency_key="k" * 255,
        correlation_id="c" * 100,
    )

    assert headers.items() >= {**named, REASON: "unexpected_error", IDEMPOTENCY_KEY: "k" * 255}.items()
    assert TRACEPARENT in headers


def test_names_of_ours_that_a_publisher_filled_do_not_keep_a_copy_from_fitting() -> None:
    filled = dict.fromkeys(OURS, "x" * 250)

    headers = written(4096, headers=filled | {ERROR: "e" * 500, DROPPED_HEADERS: "d" * 5000})

    assert headers.items() >= filled.items()
    assert written(4096, headers=dict.fromkeys(OURS, "x" * 2000))[DROPPED_HEADERS]
