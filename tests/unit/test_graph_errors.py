"""The class of every error code of the Cloud API, and of answers without one."""

import pytest

from shared.graph_errors import CLASS_OF_CODE, PERMANENT, ErrorClass, classify

E = ErrorClass

CODES: dict[ErrorClass, list[int]] = {
    E.AUTH: [
        *(0, 3, 10, 190, 131005),
        *range(200, 300),
        *(368, 130497, 131031, 131042, 131044, 131045, 131037, 133010),
    ],
    E.RATE: [4, 80007, 130429, 613, 133016, 138013],
    E.PAIR: [131056],
    E.SPAM: [131048, 131064],
    E.WINDOW: [131047],
    E.UNDELIVERABLE: [131026, 131030, 131021, 137000, 131062],
    E.WITHHELD: [131049, 130472],
    E.OPTED_OUT: [131050],
    E.TEMPLATE: [132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 131063],
    E.INVALID: [100, 33, 131008, 131009, 131051, 132068],
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
        (400, E.UNKNOWN),
        (401, E.AUTH),
        (403, E.UNKNOWN),
        (404, E.UNKNOWN),
        (408, E.TRANSIENT),
        (413, E.UNKNOWN),
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


def test_what_may_still_succeed_is_not_permanent() -> None:
    assert set(ErrorClass) - PERMANENT == {
        *(E.TRANSIENT, E.RATE, E.PAIR, E.SPAM, E.AUTH, E.TEMPLATE, E.MEDIA, E.AMBIGUOUS),
    }
