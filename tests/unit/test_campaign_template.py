"""Which columns fill a template, and whether they fit its definition as the Graph API returns it."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.messaging.campaigns.rendering import flatten, render_template, texts_of
from shared.messaging.campaigns.template import (
    Button,
    Definition,
    TemplateContent,
    TemplateError,
    choose,
    count_flattened,
    fault_of,
    read_definition,
)
from shared.payloads import Template
from workers.cli.campaign_options import read_button, read_choice, read_header, read_params

BODY: dict[str, Any] = {"type": "BODY", "text": "Hello {{1}} of {{2}}"}
URL_BUTTON = {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}"}


def defined(tmp_path: Path, *components: dict[str, Any], **fields: Any) -> Definition:
    path = tmp_path / "template.json"
    found = {"name": "welcome", "language": "en", "status": "APPROVED", "components": components} | fields
    path.write_text(json.dumps({"data": [found | {"language": "de", "components": [BODY]}, found]}))
    return read_definition(path, "welcome", "en")


def refusal(choice: TemplateContent, definition: Definition | None, *columns: str) -> str:
    with pytest.raises(TemplateError) as caught:
        choose(choice, definition, columns)
    return str(caught.value)


def texts(*columns: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": f"{{{{{column}}}}}"} for column in columns]


def test_only_the_columns_that_are_named_become_parameters() -> None:
    assert choose(TemplateContent(), None, ["name", "city"]) == []
    assert choose(TemplateContent(("1",)), None, ["1", "city"]) == [
        {"type": "body", "parameters": texts("1")}
    ]
    [body] = choose(TemplateContent(("name",)), None, ["name", "city"])

    assert body["parameters"] == [{"type": "text", "parameter_name": "name", "text": "{{name}}"}]
    assert (
        refusal(TemplateContent(("town",)), None, "name")
        == "no column for town of the template (there are: name)"
    )


def test_columns_of_any_name_fill_the_positions_that_the_definition_has(tmp_path: Path) -> None:
    definition = defined(tmp_path, BODY, {"type": "FOOTER", "text": "Bye"})

    components = choose(TemplateContent(("name", "city")), definition, ["city", "name"])

    assert components == [{"type": "body", "parameters": texts("name", "city")}]
    filled = render_template(
        Template(name="welcome", language="en", components=components), {"name": "Ana", "city": "Ulm"}
    )

    assert [parameter["text"] for parameter in filled.components[0]["parameters"]] == ["Ana", "Ulm"]


def test_named_parameters_are_found_among_the_columns(tmp_path: Path) -> None:
    body = {"type": "BODY", "text": "Hello {{name}}"}
    definition = defined(tmp_path, body, parameter_format="NAMED")

    [component] = choose(TemplateContent(), definition, ["name", "city"])

    assert component["parameters"] == [{"type": "text", "parameter_name": "name", "text": "{{name}}"}]
    assert "the template takes name, got city" in refusal(
        TemplateContent(("city",)), definition, "name", "city"
    )


def test_a_count_that_is_not_the_templates_is_refused(tmp_path: Path) -> None:
    definition = defined(tmp_path, BODY)

    assert "takes 2 parameters, params names 3" in refusal(TemplateContent(("a", "b", "c")), definition, "a")
    assert "takes 2 parameters, params names 0" in refusal(TemplateContent(()), definition, "a")
    assert "no column for 1, 2: name the columns" in refusal(TemplateContent(), definition, "name", "city")


def test_a_template_without_variables_takes_no_column(tmp_path: Path) -> None:
    definition = defined(tmp_path, {"type": "BODY", "text": "Hello"})

    assert choose(TemplateContent(), definition, ["name"]) == []
    assert "takes 0 parameters, params names 1" in refusal(TemplateContent(("name",)), definition, "name")


@pytest.mark.parametrize(
    ("header", "given", "component"),
    [
        ({"format": "IMAGE"}, ("image", "picture"), {"type": "image", "image": {"link": "{{picture}}"}}),
        (
            {"format": "DOCUMENT"},
            ("document", "https://x.example/a.pdf"),
            {"type": "document", "document": {"link": "https://x.example/a.pdf"}},
        ),
        ({"format": "TEXT", "text": "Dear {{1}}"}, ("text", "name"), {"type": "text", "text": "{{name}}"}),
    ],
)
def test_a_header_is_given_as_the_template_has_it(
    tmp_path: Path, header: dict[str, Any], given: tuple[str, str], component: dict[str, Any]
) -> None:
    definition = defined(tmp_path, {"type": "HEADER", **header}, {"type": "BODY", "text": "Hi"})

    assert choose(TemplateContent(header=given), definition, ["picture", "name"]) == [
        {"type": "header", "parameters": [component]}
    ]
    assert "none is given" in refusal(TemplateContent(), definition)
    assert "header gives video" in refusal(
        TemplateContent(header=("video", "picture")), definition, "picture"
    )


def test_a_header_without_variables_is_not_given(tmp_path: Path) -> None:
    definition = defined(
        tmp_path, {"type": "HEADER", "format": "TEXT", "text": "Hi"}, {"type": "BODY", "text": "Hi"}
    )

    assert choose(TemplateContent(), definition, []) == []
    assert "takes none that varies" in refusal(TemplateContent(header=("text", "name")), definition, "name")


def test_buttons_take_the_values_that_their_kind_takes(tmp_path: Path) -> None:
    buttons = [{"type": "PHONE_NUMBER"}, URL_BUTTON, {"type": "COPY_CODE", "example": ["A"]}]
    definition = defined(tmp_path, {"type": "BODY", "text": "Hi"}, {"type": "BUTTONS", "buttons": buttons})

    components = choose(
        TemplateContent(buttons=(Button(1, "order"), Button(2, "code"))), definition, ["order", "code"]
    )

    assert [(item["sub_type"], item["index"], item["parameters"]) for item in components] == [
        ("url", "1", [{"type": "text", "text": "{{order}}"}]),
        ("copy_code", "2", [{"type": "coupon_code", "coupon_code": "{{code}}"}]),
    ]
    assert "button 2 takes a copy_code value" in refusal(
        TemplateContent(buttons=(Button(1, "a"),)), definition, "a"
    )
    three = TemplateContent(buttons=(Button(0, "a"), Button(1, "a"), Button(2, "a")))

    assert "button 0 of the template takes no value" in refusal(three, definition, "a")


def test_errors_of_options_call_the_parts_by_their_options(tmp_path: Path) -> None:
    header, body = {"type": "HEADER", "format": "IMAGE"}, {"type": "BODY", "text": "Hello {{1}}"}
    buttons = {"type": "BUTTONS", "buttons": [URL_BUTTON]}
    definition = defined(tmp_path, header, body, buttons)

    def refused(**options: Any) -> str:
        given = {"template": "t", "params": None, "header": None, "buttons": ()} | options
        return refusal(read_choice(given), definition, "a")

    assert refused() == "body: no column for 1: name the columns in their order with --params"
    assert refused(params="a,b") == "body: the template takes 1 parameters, --params names 2"
    assert refused(params="a", header="video=a") == "header: the template takes image, --header gives video"
    rest = {"params": "a", "header": "image=a"}

    assert refused(**rest) == "buttons: button 0 takes a url value: give --button 0=COLUMN"
    assert refused(**rest, buttons=("0=a", "0=a")) == "buttons: one --button for each index"


def test_an_authentication_template_takes_its_code_twice(tmp_path: Path) -> None:
    definition = defined(
        tmp_path,
        {"type": "BODY", "add_security_recommendation": True},
        {"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE"}]},
        category="AUTHENTICATION",
    )

    body, button = choose(TemplateContent(("code",), buttons=(Button(0, "code"),)), definition, ["code"])

    assert body == {"type": "body", "parameters": texts("code")}
    assert (button["sub_type"], button["parameters"]) == ("url", texts("code"))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"7", "no template welcome in language en"),
        (b'{"data": 7}', "no template welcome"),
        (b'{"name": "other", "components": []}', "no template welcome"),
        (b'{"name": "welcome", "language": "en", "components": [7, {"type": 7}]}', "no BODY"),
    ],
)
def test_a_definition_that_is_none_is_refused_in_one_line(tmp_path: Path, content: bytes, error: str) -> None:
    path = tmp_path / "template.json"
    path.write_bytes(content)

    with pytest.raises(TemplateError, match=error):
        read_definition(path, "welcome", "en")
    with pytest.raises(TemplateError, match="No such file"):
        read_definition(tmp_path / "nowhere.json", "welcome", "en")


def test_options_are_read_or_refused() -> None:
    assert (read_params(None), read_params("none"), read_params("a, b")) == (None, (), ("a", "b"))
    assert read_header("Image=https://x.example/a.png") == ("image", "https://x.example/a.png")
    assert read_button("0=code") == Button(0, "code")
    assert read_button("2=copy_code:code") == Button(2, "code", "copy_code")
    for read, text in (
        (read_params, "a,,b"),
        (read_header, "image"),
        (read_header, "audio=x"),
        (read_button, "code"),
        (read_button, "10=code"),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            read(text)


def test_the_row_that_fails_is_known_before_it_is_sent(tmp_path: Path) -> None:
    definition = defined(tmp_path, BODY)
    components = choose(TemplateContent(("name", "city")), definition, ["name", "city"])
    template = Template(name="welcome", language="en", components=components)

    assert fault_of(template, definition, {"name": "Ana", "city": "Ulm"}) is None
    assert fault_of(template, definition, {"name": "Ana", "city": " "}) == "the variable 'city' is missing"
    assert fault_of(template, definition, {"name": "Ana", "city": "x" * 1011}) is None
    assert "1025 characters" in str(fault_of(template, definition, {"name": "Ana", "city": "x" * 1012}))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("Ana\nMaria", "Ana Maria"),
        ("a \r\n\r\n b\tc", "a b c"),
        ("a    b", "a    b"),
        ("a     b", "a b"),
        ("a\u2028b", "a b"),
        ("plain", "plain"),
    ],
)
def test_blanks_that_the_platform_refuses_are_one_blank(value: str, sent: str) -> None:
    assert flatten(value) == sent
    template = Template(name="t", language="en")
    variables = texts_of({"name": value, "unused": "a"})

    assert render_template(template, variables).components[0]["parameters"][0]["text"] == sent
    assert count_flattened(template, {"name": value}) == (value != sent)


def test_a_body_that_takes_no_column_is_left_out() -> None:
    template = Template(name="t", language="en", components=[{"type": "body", "parameters": []}])

    assert render_template(template, {"name": "Ana"}).components == []
