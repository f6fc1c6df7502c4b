"""What follows for a notice whose message failed; and the ids under which messages know their notice."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.commerce.notices.failing import OnceMore, once_more
from shared.commerce.notices.ids import client_message_id, read_client_message_id

SOON = OnceMore(timedelta(seconds=300))


@pytest.mark.parametrize(
    ("code", "then"),
    [
        ("131047", OnceMore(timedelta(), as_template=True)),
        ("131049", OnceMore(timedelta(hours=24))),
        ("131000", SOON),
        ("130429", SOON),
        ("132015", SOON),
        ("max_retries_exceeded", SOON),
        ("131026", None),
        ("131050", None),
        ("130472", None),
        ("send_ambiguous", None),
        ("expired", None),
        ("notice_taken_back", None),
        ("opted_out", None),
        (None, None),
    ],
)
def test_what_may_pass_is_tried_once_more_and_what_may_have_arrived_never(
    code: str | None, then: OnceMore | None
) -> None:
    assert once_more(code) == then


@given(st.uuids(), st.integers(0, 999_999_999))
def test_a_message_names_its_notice_and_the_attempt(notice_id: UUID, attempt: int) -> None:
    assert read_client_message_id(client_message_id(notice_id, attempt)) == (notice_id, attempt)


ID = "0b7e4d3c-5a52-4f8e-9c35-6d1f1a2b3c4d"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "notice",
        "notice:1:1",
        f"notice:{ID}",
        f"notice:{ID}:",
        f"notice:{ID}:x",
        f"campaign:{ID}:1",
        f"notice:{ID}:1:1",
        f"notice:{ID}:1234567890",
    ],
)
def test_any_other_id_names_none(text: str | None) -> None:
    assert read_client_message_id(text) is None
