"""The JSON Schemas that are checked in are those of the models."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.amqp.payload_names import PAYLOAD_NAMES, payload_name
from shared.amqp.topology import EVENTS
from shared.commerce.notices.nudge import NoticeNudge
from shared.messaging.campaigns import CampaignNudge
from shared.payloads import decode, encode
from shared.payloads.examples import EXAMPLES
from shared.payloads.schemas import EVENTS_OUT, FOLDER, PAYLOADS_IN, generate_schemas, main
from shared.reasons import DeadReason
from tests.support.schema_verdicts import is_valid

SCHEMAS = generate_schemas()


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_a_schema_on_file_is_the_one_its_model_gives(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == SCHEMAS[name], (
        "run: python -m shared.payloads.schemas"
    )


def test_there_is_a_schema_for_each_payload_and_no_other() -> None:
    names = {f"{model.__name__}.json" for model in (*PAYLOADS_IN, *EVENTS_OUT)}

    assert {path.name for path in FOLDER.iterdir()} == names


def test_every_payload_travels_somewhere_and_what_travels_is_one() -> None:
    models = {model.__name__ for model in (*PAYLOADS_IN, *EVENTS_OUT)}

    assert set(PAYLOAD_NAMES.values()) == models | {
        CampaignNudge.__name__,
        NoticeNudge.__name__,
    }  # between our own
    assert {name for (place, _), name in PAYLOAD_NAMES.items() if place == EVENTS} == {
        model.__name__ for model in EVENTS_OUT
    }


@pytest.mark.parametrize("model", EVENTS_OUT, ids=lambda model: model.__name__)
def test_an_event_is_published_under_the_name_of_its_schema(model: Any) -> None:
    assert payload_name(EVENTS, model.EVENT_TYPE) == model.__name__


@pytest.mark.parametrize("model", PAYLOADS_IN, ids=lambda model: model.__name__)
def test_a_payload_in_allows_unknown_fields(model: Any) -> None:
    assert json.loads(SCHEMAS[f"{model.__name__}.json"])["additionalProperties"] is True


@pytest.mark.parametrize("model", EVENTS_OUT, ids=lambda model: model.__name__)
def test_an_event_says_its_version_and_no_field_but_the_kept_is_null(model: Any) -> None:
    schema = json.loads(SCHEMAS[f"{model.__name__}.json"])

    nullable = [name for name, field in schema["properties"].items() if '"null"' in json.dumps(field)]

    assert set(nullable) <= {"conversation_id"}
    assert {"event_version", *nullable} <= set(schema["required"])


@pytest.mark.parametrize("model", PAYLOADS_IN, ids=lambda model: model.__name__)
def test_an_example_of_a_payload_in_is_what_workers_take(model: Any) -> None:
    for example in EXAMPLES[model.__name__]:
        body = json.dumps(example).encode()
        assert decode(model, body)
        assert is_valid(model.__name__, body)


@pytest.mark.parametrize("model", EVENTS_OUT, ids=lambda model: model.__name__)
def test_an_example_of_an_event_is_as_the_cluster_writes_it(model: Any) -> None:
    for example in EXAMPLES[model.__name__]:
        body = encode(model.model_validate(example))
        assert json.loads(body) == example
        assert is_valid(model.__name__, body)


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema within a schema."""
    if isinstance(schema, dict):
        yield schema
        for part in schema.values():
            yield from parts(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from parts(part)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_generators_find_one_type_for_each_payload_and_part_and_no_other(name: str) -> None:
    schema = json.loads(SCHEMAS[name])
    schema.pop("examples")

    assert schema["$id"] == f"urn:wabus:{schema['title']}"
    assert not schema.keys() & {"allOf", "anyOf", "oneOf"}
    titled = {part["title"] for part in parts(schema) if isinstance(part.get("title"), str)}

    assert titled == {schema["title"], *schema.get("$defs", ())}


def test_a_dead_letters_reason_is_one_of_the_vocabulary() -> None:
    schema = json.loads(SCHEMAS["DLQMessage.json"])

    assert schema["properties"]["reason"]["enum"] == list(DeadReason)


def test_generating_writes_every_schema_and_removes_stale_ones(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.payloads.schemas.FOLDER", tmp_path)
    (tmp_path / "Gone.json").write_text("{}")

    main()

    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == SCHEMAS
    assert "35 schemas" in capsys.readouterr().out
