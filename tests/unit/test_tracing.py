"""The trace of a message, whatever its publisher sent along."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.observability.tracing import read_trace

W3C = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{W3C}-00f067aa0ba902b7-01"
HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def test_the_correlation_id_is_the_trace_id_and_the_traceparent_keeps_its_own() -> None:
    trace = read_trace("order-7", TRACEPARENT)

    assert trace.trace_id == "order-7"
    assert trace.traceparent().startswith(f"00-{W3C}-")


def test_without_a_correlation_id_the_traceparent_gives_the_trace_id() -> None:
    assert read_trace(None, TRACEPARENT).trace_id == W3C


def test_with_neither_each_message_has_a_trace_of_its_own() -> None:
    assert read_trace(None).trace_id != read_trace(None).trace_id


def test_a_seed_gives_the_same_trace_each_time() -> None:
    assert read_trace(None, seed=b"a") == read_trace(None, seed=b"a")
    assert read_trace(None, seed=b"a").trace_id != read_trace(None, seed=b"b").trace_id
    assert read_trace("given", seed=b"a").trace_id == "given"


def test_each_publication_is_a_new_span_of_the_same_trace() -> None:
    trace = read_trace(None, TRACEPARENT)

    assert trace.traceparent() != trace.traceparent()
    assert TRACEPARENT not in (trace.traceparent(), trace.traceparent())


def test_the_sampling_flag_is_carried_through() -> None:
    assert read_trace(None, f"00-{W3C}-00f067aa0ba902b7-00").traceparent().endswith("-00")


def test_one_correlation_id_gives_one_w3c_id_in_every_process() -> None:
    assert read_trace("order-7").w3c_id == read_trace("order-7").w3c_id != read_trace("order-8").w3c_id
    assert read_trace("4BF92F35-77B3-4DA6-A3CE-929D0E0E4736").w3c_id == W3C


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        7,
        b"00-",
        "",
        f"ff-{W3C}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{W3C}-{'0' * 16}-01",
        f"00-{W3C.upper()}-00f067aa0ba902b7-01",
        f"{TRACEPARENT}-more",
        f"{TRACEPARENT}\n",
    ],
)
def test_a_malformed_traceparent_counts_as_absent(traceparent: object) -> None:
    trace = read_trace("order-7", traceparent)

    assert trace == read_trace("order-7")


def test_a_later_version_of_traceparent_is_read_by_its_first_four_parts() -> None:
    assert read_trace(None, f"01-{W3C}-00f067aa0ba902b7-01-more").trace_id == W3C


@pytest.mark.parametrize("correlation_id", ["", "x" * 101, "a\nb", "\N{SLIGHTLY SMILING FACE}" * 70])
def test_an_unusable_correlation_id_counts_as_absent(correlation_id: str) -> None:
    assert read_trace(correlation_id, TRACEPARENT).trace_id == W3C


@given(st.none() | st.text(), st.none() | st.text() | st.integers())
def test_any_headers_give_a_usable_trace(correlation_id: str | None, traceparent: object) -> None:
    trace = read_trace(correlation_id, traceparent)

    match = HEADER.fullmatch(trace.traceparent())

    assert match is not None
    assert int(match[1], 16) > 0
    assert 0 < len(trace.trace_id) <= 100
    assert trace.trace_id.isprintable()
