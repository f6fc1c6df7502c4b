"""The class of every error code of the Cloud API, and of answers without one."""

import pytest

from shared.messaging.messages.graph_errors import (
    CLASS_OF_CODE,
    PERMANENT,
    ErrorClass,
    classify,
    describe_error,
    read_code,
)

E = ErrorClass

CODES: dict[ErrorClass, list[int]] = {
    E.AUTH: [
        *(0, 3, 10, 190, 131005),
        *range(200, 300),
        *(33, 368, 131031, 131042, 131044, 131045, 131037, 133010),
    ],
    E.RATE: [4, 80007, 130429, 613, 133016, 138013],
    E.PAIR: [131056],
    E.SPAM: [131048, 131064],
    E.WINDOW: [131047],
    E.UNDELIVERABLE: [130497, 131026, 131030, 131021, 137000],
    E.PHONE_NEEDED: [131062],
    E.WITHHELD: [131049, 130472],
    E.OPTED_OUT: [131050],
    E.TEMPLATE: [132001, 132007, 132008, 132015, 132016, 131063],
    E.PARAMETER: [100, 131008, 131009, 132000, 132005, 132012, 132018],
    E.INVALID: [131051, 132068],
    E.MEDIA: [131052, 131053],
    E.TRANSIENT: [1, 2, 131000, 131016, 131057, 135000, 132069],
}
EACH_CODE = [(code, error_class) for error_class, codes in CODES.items() for code in codes]


@pytest.mark.parametrize(("code", "error_class"), EACH_CODE)
def test_a_known_code_decides_whatever_the_http_status(code: int, error_class: ErrorClass) -> None:
    for http_status in (None, 200, 400, 401, 403, 404, 429, 500, 503):
        assert classify(http_status, code) is error_class
        assert classify(http_status, code, is_transient=True) is error_class


def test_the_table_holds_these_codes_once_and_no_other() -> None:
    assert dict(EACH_CODE) == dict(CLASS_OF_CODE)
    assert len(EACH_CODE) == len(CLASS_OF_CODE)


@pytest.mark.parametrize(("code", "error_class"), EACH_CODE)
@pytest.mark.parametrize("http_status", [502, 504])
def test_behind_a_failing_gateway_only_what_would_be_retried_is_ambiguous(
    code: int, error_class: ErrorClass, http_status: int
) -> None:
    expected = E.AMBIGUOUS if error_class is E.TRANSIENT else error_class
    assert classify(http_status, code) is expected


@pytest.mark.parametrize(
    ("http_status", "is_transient", "error_class"),
    [
        (None, False, E.UNKNOWN),
        (None, True, E.TRANSIENT),
        (400, False, E.UNKNOWN),
        (400, True, E.TRANSIENT),
        (401, False, E.AUTH),
        (403, False, E.UNKNOWN),
        (404, False, E.UNKNOWN),
        (429, False, E.RATE),
        (500, False, E.TRANSIENT),
        (503, False, E.TRANSIENT),
        (502, False, E.AMBIGUOUS),
        (504, True, E.AMBIGUOUS),
    ],
)
def test_an_unknown_code_is_judged_by_the_http_status(
    http_status: int | None, is_transient: bool, error_class: ErrorClass
) -> None:
    for code in (5, 199, 300, 999_999, -1):
        assert classify(http_status, code, is_transient=is_transient) is error_class


@pytest.mark.parametrize(
    ("http_status", "error_class"),
    [
        (None, E.UNKNOWN),
        (200, E.AMBIGUOUS),
        (302, E.AMBIGUOUS),
        (400, E.NOT_PLATFORM),
        (401, E.NOT_PLATFORM),
        (403, E.NOT_PLATFORM),
        (404, E.NOT_PLATFORM),
        (407, E.NOT_PLATFORM),
        (408, E.NOT_PLATFORM),
        (413, E.NOT_PLATFORM),
        (429, E.RATE),
        (500, E.AMBIGUOUS),
        (502, E.AMBIGUOUS),
        (503, E.AMBIGUOUS),
        (504, E.AMBIGUOUS),
    ],
)
def test_an_answer_without_a_graph_error_is_judged_by_its_status(
    http_status: int | None, error_class: ErrorClass
) -> None:
    assert classify(http_status, None) is error_class


@pytest.mark.parametrize("http_status", [None, 200, 400, 404])
def test_a_subcode_tells_a_number_that_is_gone_from_a_parameter(http_status: int | None) -> None:
    assert classify(http_status, 100, subcode=33) is E.AUTH
    assert classify(http_status, 100, subcode=2494010) is E.PARAMETER
    assert classify(http_status, 131026, subcode=33) is E.UNDELIVERABLE


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (131026, 131026),
        (131026.0, 131026),
        ("131026", 131026),
        ("131026.0", 131026),
        (" 131026 ", 131026),
        (-1, -1),
        (131026.5, None),
        ("131026.5", None),
        ("1e5", None),
        ("9" * 10, None),
        ("", None),
        ("no_token", None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_a_code_is_read_however_it_is_written(value: object, code: int | None) -> None:
    assert read_code(value) == code


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"error_data": {"details": "d"}, "message": "m", "title": "t"}, "d"),
        ({"error_data": {}, "message": "m", "title": "t"}, "m"),
        ({"details": "d", "message": "m"}, "d"),
        ({"details": {"more": 1}, "title": "t"}, "t"),
        ({"message": " ", "title": "t"}, "t"),
        ({"title": "t", "error_user_msg": "u"}, "t"),
        ({"error_user_msg": "u"}, "u"),
        ({"message": 7}, ""),
        ({}, ""),
        ({"message": "a\nb\0\ud800c"}, "a b  c"),
        ({"message": "x" * 1000}, "x" * 500),
    ],
)
def test_details_are_what_a_person_reads_else_the_message_else_the_title(
    error: dict[str, object], text: str
) -> None:
    assert describe_error(error) == text


def test_what_may_still_succeed_is_not_permanent() -> None:
    assert set(ErrorClass) - PERMANENT == {
        *(E.TRANSIENT, E.RATE, E.PAIR, E.SPAM, E.AUTH, E.TEMPLATE, E.MEDIA, E.AMBIGUOUS),
        *(E.PARAMETER, E.NOT_PLATFORM, E.PHONE_NEEDED),
    }
