"""Log lines: their fields, and what never gets into them."""

import io
import json
import logging
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from shared.observability.errors import describe_error
from shared.observability.logs import Operation, configure_logging, fields, get_logger
from shared.settings.settings import Settings

logger = get_logger("shared.tested")
ANY_TEXT = st.text(st.characters(exclude_categories=()))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _undisturbed_logging() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def open_log(stream: io.StringIO | None = None, **environ: str) -> io.StringIO:
    stream = io.StringIO() if stream is None else stream
    configure_logging(Settings.from_env(environ), "status-updater", stream)
    return stream


def only_line(stream: io.StringIO) -> dict[str, object]:
    text = stream.getvalue()
    assert text.count("\n") == 1
    line = json.loads(text)
    assert isinstance(line, dict)
    return line


def raise_chained() -> None:
    try:
        raise KeyError("inner")
    except KeyError as error:
        raise RuntimeError("outer") from error


def test_a_line_has_every_field_that_was_given() -> None:
    log = open_log()
    mapping_id = UUID(int=7)

    logger.info(
        "mapping %s",
        "opened",
        extra=fields(
            operation=Operation.INBOUND_IDENTITY_RESOLUTION,
            trace_id="t1",
            wa_id="491700000001",
            wamid="wamid.A",
            mapping_id=mapping_id,
            conversation_id="c1",
            cache_hit=False,
            is_new_conversation=True,
            duration_ms=1.23456,
        ),
    )

    line = only_line(log)

    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {
        "level": "INFO",
        "service": "wabus",
        "worker": "status-updater",
        "operation": "inbound_identity_resolution",
        "message": "mapping opened",
        "trace_id": "t1",
        "wa_id": "49***01",
        "wamid": "wamid.A",
        "mapping_id": str(mapping_id),
        "conversation_id": "c1",
        "cache_hit": False,
        "is_new_conversation": True,
        "duration_ms": 1.235,
    }


def test_a_line_about_no_message_has_the_trace_of_this_run() -> None:
    log = open_log()
    for text in ("started", "stopped"):
        logger.info(text, extra=fields(operation=Operation.STARTUP))

    traces = [json.loads(line)["trace_id"] for line in log.getvalue().splitlines()]

    assert len(traces) == 2
    assert len(set(traces)) == 1
    assert len(traces[0]) == 32


def test_an_address_is_shown_only_where_the_operator_asked_for_it() -> None:
    log = open_log(LOG_PII="true")

    logger.info("x", extra=fields(operation=Operation.OUTBOUND_SEND, wa_id="491700000001"))

    assert only_line(log)["wa_id"] == "491700000001"


def test_the_level_decides_what_is_written_and_is_named_as_in_the_setting() -> None:
    log = open_log(LOG_LEVEL="WARN")

    logger.info("unheard")
    logger.warning("heard")

    assert only_line(log)["level"] == "WARN"


@pytest.mark.parametrize(
    "name", ["aio_pika.robust_connection", "aiormq.connection", "asyncio", "aiohttp.server"]
)
def test_libraries_speak_from_warn_on_and_in_the_same_form(name: str) -> None:
    log = open_log(LOG_LEVEL="DEBUG")

    logging.getLogger(name).info("unheard")
    logging.getLogger(name).warning("lost amqp://guest:hunter2@host/")

    line = only_line(log)

    assert (line["operation"], line["message"]) == ("library", "lost amqp://***@host/")


@given(ANY_TEXT, ANY_TEXT)
@example("\n\x1b[31m\u2028", "\ud800")
def test_no_text_breaks_a_line_or_the_json(message: str, wamid: str) -> None:
    log = open_log()

    logger.info("%s", message, extra=fields(operation=Operation.CONSUMING, wamid=wamid))

    assert only_line(log)["level"] == "INFO"


@given(ANY_TEXT, ANY_TEXT)
@example("\n\x1b[31m\u2028", "\ud800")
def test_on_a_terminal_no_text_breaks_a_line_or_controls_the_terminal(message: str, wamid: str) -> None:
    log = open_log(Terminal())

    logger.info("%s", message, extra=fields(operation=Operation.CONSUMING, wamid=wamid))

    assert log.getvalue()[:-1].isprintable()
    assert "INFO  status-updater consuming: " in log.getvalue()


def test_the_setting_outweighs_the_terminal() -> None:
    log = open_log(Terminal(), LOG_FORMAT="json")

    logger.info("x")

    assert only_line(log)["message"] == "x"


def test_secrets_are_masked_in_messages_arguments_fields_and_errors() -> None:
    log = open_log()
    secret = "redis://:hunter2@host/0"

    try:
        raise OSError(f"no route to {secret}")
    except OSError:
        logger.exception(
            "%s at %s", "lost", secret, extra=fields(operation=Operation.CACHING, trace_id=f"t {secret}")
        )

    assert "hunter2" not in log.getvalue()
    assert only_line(log)["message"] == "lost at redis://***@host/0"


def test_an_error_is_told_with_its_causes_and_frames_in_one_line() -> None:
    log = open_log()

    try:
        raise_chained()
    except RuntimeError:
        logger.exception("failed")

    line = only_line(log)

    assert line["error"] == "RuntimeError: outer <- KeyError: 'inner'"
    assert isinstance(line["stack"], list)
    assert line["stack"][-1].endswith("raise_chained")


def test_on_a_terminal_an_errors_frames_follow_indented() -> None:
    log = open_log(Terminal())

    try:
        raise_chained()
    except RuntimeError:
        logger.exception("failed")

    first, *frames = log.getvalue().splitlines()

    assert first.endswith("failed  error=RuntimeError: outer <- KeyError: 'inner'")
    assert all(frame.startswith("    ") for frame in frames)


def test_errors_that_quote_data_are_told_by_their_kind_alone() -> None:
    class Model(BaseModel):
        count: int

    with pytest.raises(ValidationError) as raised:
        Model.model_validate({"count": "what the customer wrote"})
    database = asyncpg.UniqueViolationError("Key (text)=(what the customer wrote) already exists")

    assert describe_error(raised.value) == "ValidationError"
    assert describe_error(database) == "UniqueViolationError (23505)"


def test_a_group_of_errors_names_its_first_three_members() -> None:
    group = ExceptionGroup("work failed", [ValueError(str(number)) for number in range(5)])

    expected = "ExceptionGroup of 5 [ValueError: 0; ValueError: 1; ValueError: 2]"

    assert describe_error(group) == expected


def test_a_cycle_of_causes_comes_to_an_end() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first

    assert describe_error(first).count("<-") == 5


def test_arguments_that_do_not_fit_are_no_reason_to_lose_a_line() -> None:
    log = open_log()

    logger.info("%d left", "many")

    assert only_line(log)["message"] == "(arguments do not fit) %d left"


def test_a_very_long_text_is_cut() -> None:
    log = open_log()

    logger.info("x" * 10_000)

    assert len(str(only_line(log)["message"])) == 2001


def test_configuring_twice_does_not_write_twice() -> None:
    first, second = open_log(), open_log()

    logger.info("x")

    assert first.getvalue() == ""
    assert only_line(second)["message"] == "x"
