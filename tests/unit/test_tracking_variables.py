"""Which variable of a template an error is about."""

from typing import Any

import pytest

from shared.messaging.messages.variables import name_variables

TEXT = {"type": "text", "text": "Ana"}
LONG = {"type": "text", "text": "x" * 2000}
NAMED = {"type": "text", "parameter_name": "city", "text": "Rome"}
CODE = {"type": "payload", "payload": "SPRING"}


def body(*parameters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "body", "parameters": list(parameters)}


BUTTON = {"type": "button", "sub_type": "url", "index": "1", "parameters": [CODE]}


@pytest.mark.parametrize(
    ("code", "details", "components", "named"),
    [
        ("132005", "Translated text too long", [body(TEXT, LONG)], "body variable 2 (2,000 characters)"),
        ("132012", "format mismatch", [body(TEXT)], "body variable 1 (3 characters)"),
        (
            "132012",
            "format mismatch",
            [body(TEXT, NAMED)],
            "body variable 1 (3 characters), body variable city (4 characters)",
        ),
        (
            "132012",
            "body: the parameter city is invalid",
            [body(TEXT, NAMED)],
            "body variable city (4 characters)",
        ),
        ("132018", "parameter 2 has a newline", [body(TEXT, TEXT)], "body variable 2 (3 characters)"),
        ("132018", "button: parameter {{1}}", [body(TEXT), BUTTON], "button 1 variable 1 (6 characters)"),
        (
            "100",
            "Invalid parameter: template['components'][1]['parameters'][0]",
            [body(TEXT), BUTTON],
            "button 1 variable 1 (6 characters)",
        ),
        (
            "131008",
            "components[0].parameters[1].text is required",
            [body(TEXT, TEXT)],
            "body variable 2 (3 characters)",
        ),
        ("132000", "number of parameters does not match", [], ""),
        ("132000", "", [{"type": "body"}, {"type": "body", "parameters": [None, "x"]}], ""),
    ],
)
def test_the_variable_is_named_by_place_or_name_and_length(
    code: str, details: str, components: list[dict[str, Any]], named: str
) -> None:
    assert name_variables(code, details, components) == named


def filled_by(*texts: str) -> dict[str, Any]:
    return {"components": [{"type": "header", "parameters": []}, body(*({"text": text} for text in texts))]}


@pytest.mark.parametrize(
    ("unfilled", "named"),
    [
        (filled_by("{{name}}", "{{ city }}"), "body variable 2 from column city (2,000 characters)"),
        (
            filled_by("{{name}}", "{{street}}, {{city}}"),
            "body variable 2 from column city and street (2,000 characters)",
        ),
        (filled_by("{{name}}", "the same for all"), "body variable 2 (2,000 characters)"),
        ({"name": "welcome"}, "body variable 2 (2,000 characters)"),
        ({"components": [None, {"parameters": "x"}]}, "body variable 2 (2,000 characters)"),
        ({"components": 7}, "body variable 2 (2,000 characters)"),
        ("written by hand", "body variable 2 (2,000 characters)"),
    ],
)
def test_of_a_campaign_the_column_is_named(unfilled: object, named: str) -> None:
    assert name_variables("132005", "Translated text too long", [body(TEXT, LONG)], unfilled) == named


def test_the_column_of_a_button_and_of_a_header_is_named() -> None:
    header = {"type": "header", "parameters": [{"type": "image", "image": {"link": "{{picture}}"}}]}
    unfilled = {"components": [header, {**BUTTON, "parameters": [{"payload": "{{code}}"}]}]}
    sent = [{"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x/1"}}]}, BUTTON]

    assert name_variables("132018", "button: parameter 1", sent, unfilled) == (
        "button 1 variable 1 from column code (6 characters)"
    )
    assert name_variables("132012", "header: parameter 1", sent, unfilled).startswith(
        "header variable 1 from column picture "
    )


def test_a_value_is_never_repeated_and_many_variables_are_cut() -> None:
    named = name_variables("132012", "", [body(*[TEXT] * 9)])
    assert "Ana" not in named
    assert named.count("variable") == 5
    assert named.endswith("…")
