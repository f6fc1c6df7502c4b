"""The JSON Schemas that are checked in are those of the models."""

import json
from typing import Any

import pytest

from shared.amqp.payload_names import PAYLOAD_NAMES, payload_name
from shared.amqp.topology import EVENTS
from shared.messaging.campaigns import CampaignNudge
from shared.payloads.schemas import EVENTS_OUT, FOLDER, PAYLOADS_IN, generate_schemas, main

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

    assert set(PAYLOAD_NAMES.values()) == models | {CampaignNudge.__name__}  # that is between our own workers
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


def test_generating_writes_every_schema_and_removes_stale_ones(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shared.payloads.schemas.FOLDER", tmp_path)
    (tmp_path / "Gone.json").write_text("{}")

    main()

    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == SCHEMAS
    assert "15 schemas" in capsys.readouterr().out
