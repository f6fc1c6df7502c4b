"""What one recipient of a campaign is sent, or why nothing."""

from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.campaigns.messages import Content, Reachability, SkipReason, once, prepare
from shared.messaging.campaigns.recipients import read_variables
from shared.messaging.campaigns.rendering import (
    MissingVariable,
    names_used,
    render_template,
    render_text,
    texts_of,
)
from shared.payloads import Category, OutboundMessage, Template


def reachability(refuses_marketing: bool, refuses_all: bool, window_open: bool) -> Reachability:
    return Reachability("4917000001", False, refuses_marketing, refuses_all, window_open)


REACHABLE = reachability(refuses_marketing=False, refuses_all=False, window_open=True)
WELCOME = Template(name="welcome", language="en")


def text(content: str, **variables: Any) -> str:
    return render_text(content, texts_of(variables))


def parameters(variables: dict[str, Any]) -> Any:
    return render_template(WELCOME, texts_of(variables)).components


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Hello {{name}}", "Hello Ana"),
        ("Hello {{ name }}, {{name}}!", "Hello Ana, Ana!"),
        ("{{count}} of {{share}}, {{fine}}", "3 of 12.5, true"),
        ("{{first name}}: {{1}}", "Anabel: one"),
        ("{name} {{}} {{ }} }}{{", "{name} {{}} {{ }} }}{{"),
        ("{{evil}}", "{{name}} \\1"),
        ("no placeholder", "no placeholder"),
    ],
)
def test_placeholders_are_filled(content: str, expected: str) -> None:
    variables = {
        "name": "Ana",
        "count": 3,
        "share": 12.5,
        "fine": True,
        " first name ": "Anabel",
        "1": "one",
        "evil": "{{name}} \\1",
    }

    assert render_text(content, texts_of(variables)) == expected


@pytest.mark.parametrize("variables", [{}, {"name": ""}, {"name": "  "}, {"name": None}, {"name": ["Ana"]}])
def test_a_variable_without_a_single_value_is_missing(variables: dict[str, Any]) -> None:
    with pytest.raises(MissingVariable, match="'name'"):
        render_text("Hello {{name}}", texts_of(variables))


def test_a_variable_that_is_not_used_may_be_missing() -> None:
    assert text("Hello", name="") == "Hello"


def test_every_string_of_a_templates_components_is_filled_and_nothing_else() -> None:
    template = Template(
        name="{{name}}",
        language="en",
        components=[
            {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x/{{id}}.jpg"}}]},
            {"type": "button", "sub_type": "url", "index": 0, "parameters": [{"text": "{{id}}", "n": None}]},
        ],
    )
    filled = render_template(template, texts_of({"id": 7}))
    assert filled.name == "{{name}}"
    assert filled.components == [
        {"type": "header", "parameters": [{"type": "image", "image": {"link": "https://x/7.jpg"}}]},
        {"type": "button", "sub_type": "url", "index": 0, "parameters": [{"text": "7", "n": None}]},
    ]
    with pytest.raises(MissingVariable):
        render_template(template, {})


def test_a_template_without_components_takes_numbered_variables_by_position() -> None:
    ten = {str(number): f"v{number}" for number in range(10, 0, -1)}
    [body] = parameters(ten | {"note": "left out"})

    assert body["type"] == "body"
    assert body["parameters"] == [{"type": "text", "text": f"v{number}"} for number in range(1, 11)]


def test_a_template_without_components_takes_named_variables_by_name() -> None:
    assert parameters({"name": "Ana", "city": "Ulm"}) == [
        {
            "type": "body",
            "parameters": [
                {"type": "text", "parameter_name": "name", "text": "Ana"},
                {"type": "text", "parameter_name": "city", "text": "Ulm"},
            ],
        }
    ]


@pytest.mark.parametrize("variables", [{"1": "a", "3": "c"}, {"1": "a", "2": ""}, {"0": "a"}, {"name": None}])
def test_a_parameter_that_is_missing_is_not_left_out(variables: dict[str, Any]) -> None:
    with pytest.raises(MissingVariable):
        parameters(variables)


@pytest.mark.parametrize("position", ["999999999", "9" * 5000])
def test_a_position_far_out_costs_nothing(position: str) -> None:
    with pytest.raises(MissingVariable):
        parameters({"1": "a", position: "b"})


def test_a_text_of_unclosed_placeholders_costs_no_more_than_its_length() -> None:
    text = "{{" + "a " * 500_000
    assert render_text(text, {}) == text
    assert names_used([text]) == set()
    assert render_text("{{ }} {{}}", {}) == "{{ }} {{}}"


def test_a_template_without_components_and_variables_is_as_it_was() -> None:
    assert render_template(WELCOME, {}) == WELCOME


def test_names_used_are_those_of_all_placeholders() -> None:
    assert names_used("{{a}} {{ b }}") == {"a", "b"}
    assert names_used([{"x": ["{{c}}", 1, None]}]) == {"c"}


def test_numbers_keep_their_digits() -> None:
    variables = read_variables('{"order": 123456789012345678901234567890, "price": 12.50, "name": null}')
    assert texts_of(variables) == {"order": "123456789012345678901234567890", "price": "12.50", "name": ""}
    assert read_variables(None) is None


@given(st.text(), st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers(), st.booleans())))
def test_any_text_and_variables_are_rendered_or_missing(content: str, variables: dict[str, Any]) -> None:
    texts = texts_of(variables)
    missing = {name for name in names_used(content) if not texts.get(name, "").strip()}
    with pytest.raises(MissingVariable) if missing else nullcontext():
        assert render_text(content, texts) == content or names_used(content)


@pytest.mark.parametrize(
    ("known", "category", "is_text", "expected"),
    [
        (reachability(True, False, True), "marketing", False, SkipReason.OPTED_OUT),
        (reachability(True, False, True), "utility", False, None),
        (reachability(False, True, True), "marketing", False, SkipReason.OPTED_OUT),
        (reachability(False, True, True), "utility", False, SkipReason.OPTED_OUT),
        (reachability(False, False, False), "marketing", True, SkipReason.WINDOW_CLOSED),
        (reachability(True, False, False), "marketing", True, SkipReason.OPTED_OUT),
        (reachability(False, False, False), "marketing", False, None),
        (reachability(False, False, True), "marketing", True, None),
    ],
)
def test_who_is_skipped_and_why(
    known: Reachability, category: Category, is_text: bool, expected: SkipReason | None
) -> None:
    content = Content("c", "1001", None if is_text else WELCOME, "Hello" if is_text else None, category)
    prepared = prepare(content, "4917000001", None, known)

    assert (prepared if isinstance(prepared, SkipReason) else None) == expected


def test_a_person_is_sent_to_once_and_that_is_the_first_reason() -> None:
    content = Content("spring", "1001", None, "Hello {{name}}")
    refusing = reachability(refuses_marketing=True, refuses_all=False, window_open=False)

    assert prepare(content, "4917000001", None, once(refusing, {"4917000001"})) is SkipReason.SAME_CUSTOMER
    assert prepare(content, "4917000001", None, once(refusing, {"4917000002"})) is SkipReason.OPTED_OUT
    assert once(once(REACHABLE, {"4917000001"}), ()).is_reached


def test_a_message_is_the_same_whenever_it_is_prepared() -> None:
    content = Content("spring", "1001", None, "Hello {{name}}")
    first = prepare(content, "4917000001", {"name": "Ana"}, REACHABLE)
    again = prepare(content, "4917000001", {"name": "Ana"}, REACHABLE)

    assert isinstance(first, OutboundMessage)
    assert isinstance(again, OutboundMessage)
    assert first.content_hash() == again.content_hash()
    assert (first.client_message_id, first.campaign_id, first.message_text, first.category) == (
        "campaign:spring:4917000001",
        "spring",
        "Hello Ana",
        "marketing",
    )


def test_a_variable_that_is_missing_is_the_last_reason() -> None:
    content = Content("spring", "1001", None, "Hello {{name}}")
    assert prepare(content, "4917000001", None, REACHABLE) is SkipReason.MISSING_VARIABLE
    closed = reachability(refuses_marketing=False, refuses_all=False, window_open=False)

    assert prepare(content, "4917000001", None, closed) is SkipReason.WINDOW_CLOSED


@pytest.mark.parametrize("variables", [["Ana", "5"], "Ana", 7, True])
def test_variables_without_names_are_missing(variables: object) -> None:
    """The table may be filled by others."""
    with pytest.raises(MissingVariable):
        texts_of(variables)
