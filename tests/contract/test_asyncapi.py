"""The AsyncAPI document on file is the topology's and the models', its own parser takes it, and the schemas
make types that compile."""

import importlib
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from deploy.asyncapi import FILE, ROUTES_IN, ROUTES_OUT, main, write_document
from shared.amqp.topology import EVENTS, build_topology, is_bound
from shared.payloads.examples import EXAMPLES
from shared.payloads.schemas import EVENTS_OUT, FOLDER, PAYLOADS_IN
from tests.support.checkers import checker
from tests.support.connect_page import PAGE, lines, published
from tests.support.node_packages import node_modules

SCRIPTS = Path(__file__).parents[1] / "support" / "node"
DOCUMENT: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_document_on_file_is_the_one_that_topology_and_models_give() -> None:
    assert FILE.read_text(encoding="utf-8") == write_document(), "run: python -m deploy.asyncapi"


def test_generating_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.asyncapi.FILE", tmp_path / "asyncapi.json")

    main()

    assert (tmp_path / "asyncapi.json").read_text(encoding="utf-8") == write_document()


def test_it_holds_what_the_page_for_gateways_holds() -> None:
    routes = {
        (route.exchange, route.routing_key.format(wa_id="the customer's", key="c-1")) for route in ROUTES_IN
    }
    page = {
        (row.exchange, "the customer's" if row.routing_key == "wa_id" else row.routing_key)
        for row in published()
    }

    assert routes == page
    assert {route.routing_key for route in ROUTES_OUT} == {m.EVENT_TYPE for m in EVENTS_OUT} | {
        "outbound.failed"
    }


def test_every_channel_is_a_routing_key_of_an_exchange_that_is_declared() -> None:
    declared = {exchange.name: exchange for exchange in build_topology().exchanges}

    for channel in DOCUMENT["channels"].values():
        exchange = channel["bindings"]["amqp"]["exchange"]
        assert exchange["name"] in declared
        assert exchange["name"] == EVENTS or is_bound(exchange["name"], channel["address"])

    assert len(DOCUMENT["channels"]) == len(ROUTES_IN) + len(ROUTES_OUT)


def test_a_part_of_several_payloads_is_the_same_in_each() -> None:
    parts: dict[str, Any] = {}
    for path in FOLDER.iterdir():
        for name, part in json.loads(path.read_text(encoding="utf-8")).get("$defs", {}).items():
            assert parts.setdefault(name, part) == part, (path.name, name)

    assert not parts.keys() & {model.__name__ for model in (*PAYLOADS_IN, *EVENTS_OUT)}


def test_asyncapis_own_parser_takes_the_document() -> None:
    done = run("check_asyncapi.js", FILE.read_text(encoding="utf-8"))
    answer = json.loads(done.stdout)

    assert [item for item in answer["found"] if item["severity"] < 2] == []
    assert answer["channels"] == len(DOCUMENT["channels"])


def test_asyncapis_own_parser_refuses_a_document_that_is_broken() -> None:
    done = run("check_asyncapi.js", json.dumps(DOCUMENT | {"channels": {"x": {"messages": 7}}}))

    assert [item for item in json.loads(done.stdout)["found"] if item["severity"] == 0]


def test_types_made_from_the_schemas_compile_and_take_the_examples(tmp_path: Path) -> None:
    run("make_types.js", "", str(FOLDER), str(tmp_path))
    for name, examples in EXAMPLES.items():
        lines = [f"export const example{n}: {name} = {json.dumps(it)};" for n, it in enumerate(examples)]
        header = f'import type {{ {name} }} from "./{name}";'
        (tmp_path / f"example{name}.ts").write_text("\n".join([header, *lines]), encoding="utf-8")
    wrong = (
        'import type { StatusUpdate } from "./StatusUpdate";\nexport const e: StatusUpdate = { status: 7 };\n'
    )
    broken = tmp_path / "broken" / "example.ts"
    broken.parent.mkdir()
    broken.write_text(wrong.replace("./", "../"), encoding="utf-8")

    made = {path.name for path in tmp_path.glob("*.d.ts")}

    assert made == {f"{name}.d.ts" for name in EXAMPLES}
    assert all("1" not in line for path in made for line in exported(tmp_path / path))
    assert compile_types([*tmp_path.glob("*.ts"), broken]) == {broken}


def test_pydantic_models_made_from_the_schemas_take_the_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = [line for line in lines() if line.startswith("datamodel-codegen")]
    program, *options = shlex.split(command.replace("payload_types", str(tmp_path / "payload_types")))
    monkeypatch.syspath_prepend(tmp_path)

    subprocess.run([Path(sys.executable).with_name(program), *options], check=True, cwd=PAGE.parents[1])
    made = {name: importlib.import_module(f"payload_types.{name}") for name in EXAMPLES}

    for name, examples in EXAMPLES.items():
        model: type[BaseModel] = getattr(made[name], name)
        for example in examples:
            model.model_validate_json(json.dumps(example))
    assert [name for module in made.values() for name in vars(module) if name[-1].isdigit()] == []
    with pytest.raises(ValidationError, match="status"):
        made["StatusUpdate"].StatusUpdate(status=7, timestamp=1_714_979_289)


def exported(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("export ")]


def compile_types(files: list[Path]) -> set[Path]:
    """Compiles all at once; returns those that have errors."""
    compiler = node_modules() / "typescript" / "bin" / "tsc"
    command = [str(checker("node")), str(compiler), "--noEmit", "--strict", *map(str, sorted(files))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1, 2), done.stderr
    return {Path(line.partition("(")[0]).resolve() for line in done.stdout.splitlines() if "error TS" in line}


def run(script: str, given: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(checker("node")), str(SCRIPTS / script), *arguments],
        input=given,
        env={"NODE_PATH": str(node_modules())},
        check=True,
        capture_output=True,
        text=True,
    )
