"""What must not be read in logs and messages."""

import pytest

from shared.masking import mask_address, mask_secrets, mask_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://guest:hunter2@host:5672/v", "amqp://***@host:5672/v"),
        ("redis://:hunter2@host/0", "redis://***@host/0"),
        ("postgresql://u:hun@ter2@host/x", "postgresql://***@host/x"),
        ("postgresql://u:hun/t?er'2@host/x", "postgresql://***@host/x"),
        (
            "postgresql://host/x?user=u&password=hunter2&sslmode=require",
            "postgresql://host/x?user=u&password=***&sslmode=require",
        ),
        ("http://127.0.0.1:8090/v25.0", "http://127.0.0.1:8090/v25.0"),
        ("hunter", "hunter"),
    ],
)
def test_a_url_loses_its_credentials_and_keeps_the_rest(url: str, shown: str) -> None:
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach amqp://guest:hunter2@host/: refused",
        "Authorization: Bearer hunter2hunter2",
        "{'Authorization': 'Bearer hunter2hunter2'}",
        "authorization: Basic aHVudGVyMjpodW50ZXIy hunter",
        "GET /x?access_token=hunter2&fields=id",
        '{"password": "hunter2"}',
        "Error validating access token: hunter2hunter2 has expired",
        "access_token: hunter2 is wrong",
        "token: hunter2",
        '{"token": "hunter2 is wrong"}',
        "Bearer hunter2hunter is required",
        "token EAAGhunter2hunter2hunter2 is expired",
    ],
)
def test_a_secret_inside_a_text_is_masked(text: str) -> None:
    masked = mask_secrets(text)

    assert "hunter2" not in masked
    assert "aHVudGVy" not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "Error validating access token: Session has expired on Monday",
        "Malformed access token: the session was invalidated",
        "Bearer authentication is required",
        "closed basic_consume on channel 2",
        "3 duplicates in a batch of 50",
        "conversation c-1 correlated: first",
        "wamid.HBgLMTU1NTAwMDExMTE=",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert mask_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("access_token: Session has expired", "access_token: *** has expired"),
        ("password: correct horse battery", "password: *** horse battery"),
        ("app_secret: correct horse", "app_secret: *** horse"),
        ("token: sesame", "token: ***"),
        ("token: Sesame7 has expired", "token: *** has expired"),
        ("token=Session has", "token=*** has"),
    ],
)
def test_what_stands_beside_the_name_of_a_field_is_masked_even_where_it_reads_as_words(
    text: str, shown: str
) -> None:
    assert mask_secrets(text) == shown


@pytest.mark.parametrize(
    ("wa_id", "shown"),
    [("491700000001", "49***01"), ("DE.8842abcd", "DE***cd"), ("123456", "***"), ("", "***")],
)
def test_an_address_keeps_four_characters_at_most(wa_id: str, shown: str) -> None:
    assert mask_address(wa_id) == shown
