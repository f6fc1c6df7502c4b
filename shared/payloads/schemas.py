"""JSON Schemas of all payloads, generated from the models: `python -m shared.payloads.schemas`.

Owns which models are payloads (what `shared.payloads` exports of the two kinds) and the form of their schema
files (`schema/payloads/<name>.json`).
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from shared import payloads
from shared.payloads.encoding import KEPT_NULLS
from shared.payloads.examples import EXAMPLES
from shared.payloads.model import Event, Payload

_MODELS: Final = [model for name in payloads.__all__ if isinstance(model := getattr(payloads, name), type)]
EVENTS_OUT: Final[tuple[type[Event], ...]] = tuple(
    model for model in _MODELS if issubclass(model, Event) and model is not Event
)
PAYLOADS_IN: Final[tuple[type[Payload], ...]] = tuple(
    model for model in _MODELS if issubclass(model, Payload) and model not in (Payload, *EVENTS_OUT)
)

FOLDER: Final = Path(__file__).resolve().parents[2] / "schema" / "payloads"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final = {"type": "null"}


class _PlainSchema(GenerateJsonSchema):
    """No title of a field, of which generators make types, and no default that says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        found = super().default_schema(schema)
        return {name: value for name, value in found.items() if name != "default" or value is not None}


def generate_schemas() -> dict[str, str]:
    """File name → text of every schema. Deterministic: the same models give the same text."""
    return {
        f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in build_schemas().items()
    }


def build_schemas() -> dict[str, dict[str, Any]]:
    """Every payload's schema by its name."""
    taken = {model.__name__: _schema(model, "validation") for model in PAYLOADS_IN}
    told = {model.__name__: _leave_nulls_out(_schema(model, "serialization")) for model in EVENTS_OUT}
    return {
        name: {"$schema": _DIALECT, "$id": f"urn:wabus:{name}", **schema, "examples": EXAMPLES[name]}
        for name, schema in (taken | told).items()
    }


def _schema(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    return model.model_json_schema(mode=mode, schema_generator=_PlainSchema)


def _leave_nulls_out(schema: dict[str, Any]) -> dict[str, Any]:
    """An event's schema as `encode` writes it: a field that may be null is absent instead."""
    for part in (schema, *schema.get("$defs", {}).values()):
        fields = part["properties"]
        left_out = {name for name in fields.keys() - KEPT_NULLS if _NULL in fields[name].get("anyOf", ())}
        for name in left_out:
            _drop_null(fields[name])
        part["required"] = [name for name in fields if name not in left_out]
    return schema


def _drop_null(field: dict[str, Any]) -> None:
    field.pop("default", None)
    kinds = [kind for kind in field.pop("anyOf") if kind != _NULL]
    field.update(kinds[0] if len(kinds) == 1 else {"anyOf": kinds})


def main() -> None:
    """Write every schema file, and remove those of payloads that are gone."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    schemas = generate_schemas()
    for stale in {path.name for path in FOLDER.glob("*.json")} - schemas.keys():
        (FOLDER / stale).unlink()
    for name, text in schemas.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    sys.stdout.write(f"{len(schemas)} schemas in {FOLDER}\n")


if __name__ == "__main__":
    main()
