"""Checks of interactive messages: reply buttons, lists, links, flows and the other kinds.

Owns their limits. Kinds whose action the platform alone can judge (products, catalogues, flows) are checked
as far as the shape goes.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from deploy.sandbox.fields import Fields, refuse
from deploy.sandbox.graph_errors import PARAMETER_VALUE_INVALID

BODY_LENGTH = 1_024
FOOTER_LENGTH = 60
HEADER_LENGTH = 60
MOST_BUTTONS = 3
BUTTON_TITLE_LENGTH = 20
MOST_ROWS = 10
ROW_TITLE_LENGTH = 24
ROW_DESCRIPTION_LENGTH = 72


def check_interactive(interactive: Fields) -> None:
    """Refuses what the platform would: shape, lengths, counts, repeated ids."""
    kind = interactive.choice("type", tuple(_ACTION_CHECKS))
    if kind != "product" or interactive.has("body"):
        interactive.object("body").text("text", BODY_LENGTH)
    if interactive.has("footer"):
        interactive.object("footer").text("text", FOOTER_LENGTH)
    if interactive.has("header"):
        check_header(interactive.object("header"), text_only=kind == "list")
    _ACTION_CHECKS[kind](interactive.object("action"))


def check_header(header: Fields, *, text_only: bool) -> None:
    kinds = ("text",) if text_only else ("text", "image", "video", "document")
    kind = header.choice("type", kinds)
    if kind == "text":
        header.text("text", HEADER_LENGTH)
    else:
        header.object(kind)


def check_buttons(action: Fields) -> None:
    replies = []
    for button in action.objects("buttons", MOST_BUTTONS):
        button.choice("type", ("reply",))
        replies.append(button.object("reply"))
    require_unique([reply.text("id", 256) for reply in replies], "button ids")
    require_unique([reply.text("title", BUTTON_TITLE_LENGTH) for reply in replies], "button titles")


def check_list(action: Fields) -> None:
    action.text("button", BUTTON_TITLE_LENGTH)
    sections = action.objects("sections", MOST_ROWS)
    for section in sections:
        if len(sections) > 1:
            section.text("title", ROW_TITLE_LENGTH)
        else:
            section.optional_text("title", ROW_TITLE_LENGTH)
    rows = [row for section in sections for row in section.objects("rows")]
    if len(rows) > MOST_ROWS:
        refuse(PARAMETER_VALUE_INVALID, f"Total row count exceed max allowed count: {MOST_ROWS}")
    for row in rows:
        row.text("title", ROW_TITLE_LENGTH)
        row.optional_text("description", ROW_DESCRIPTION_LENGTH)
    require_unique([row.text("id", 200) for row in rows], "row ids")


def check_link(action: Fields) -> None:
    action.choice("name", ("cta_url",))
    parameters = action.object("parameters")
    parameters.text("display_text", BUTTON_TITLE_LENGTH)
    parameters.url("url")


def check_named(action: Fields) -> None:
    action.text("name", 64)


def check_product(action: Fields) -> None:
    action.text("catalog_id", 64)
    action.text("product_retailer_id", 256)


def check_product_list(action: Fields) -> None:
    action.text("catalog_id", 64)
    for section in action.objects("sections", MOST_ROWS):
        section.objects("product_items", 30)


def require_unique(values: Sequence[str], name: str) -> None:
    """Refuses the same value twice."""
    if len(set(values)) != len(values):
        refuse(PARAMETER_VALUE_INVALID, f"Duplicated {name}.")


_ACTION_CHECKS: Mapping[str, Callable[[Fields], None]] = MappingProxyType(
    {
        "button": check_buttons,
        "list": check_list,
        "cta_url": check_link,
        "flow": check_named,
        "location_request_message": check_named,
        "address_message": check_named,
        "call_permission_request": check_named,
        "catalog_message": check_named,
        "product": check_product,
        "product_list": check_product_list,
    }
)
