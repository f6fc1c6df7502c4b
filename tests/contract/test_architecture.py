"""The arrows between packages, and what every shipped file owes its reader."""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("shared", "workers", "schema", "deploy")
OURS = (*SHIPPED, "tests")
#: What knows nothing of ours, and of which package it may know parts.
ALONE = {
    "shared/payloads": "shared.payloads",
    "shared/messaging/messages/states.py": None,
    "shared/reasons.py": None,
    "shared/errors.py": None,
    "shared/upkeep.py": "shared.durations",
    "schema": "schema",
}
VAGUE = {"utils", "helpers", "common", "base", "misc"}


def files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def imports(path: Path) -> tuple[str, ...]:
    found: list[str] = []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(found)


def ours(path: Path) -> Iterator[str]:
    return (name for name in imports(path) if name.partition(".")[0] in OURS)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def offences(paths: Iterable[Path], offence: Callable[[Path], object]) -> dict[str, object]:
    """What is wrong, by file: thousands of files and rules, so not a test for each."""
    return {name_of(path): found for path in paths if (found := offence(path))}


def test_shared_knows_no_worker_no_schema_and_no_deployment() -> None:
    def others(path: Path) -> list[str]:
        return [name for name in ours(path) if not name.startswith("shared")]

    assert offences(files("shared"), others) == {}


def test_shared_speaks_to_no_terminal() -> None:
    def terminals(path: Path) -> list[str]:
        return [name for name in imports(path) if name.partition(".")[0] in ("click", "rich")]

    assert offences(files("shared"), terminals) == {}


#: What a message, a customer or a campaign is, is known here alone; everything else in `shared` is mechanism.
NOUNS = ("shared/messaging/", "shared/commerce/")
_NOUN_PACKAGES = ("shared.messaging", "shared.commerce")
#: What gathers the nouns' tables for programs.
_ABOVE = "shared/tables.py"


def test_mechanism_knows_no_noun() -> None:
    mechanism = [path for path in files("shared") if not name_of(path).startswith((*NOUNS, _ABOVE))]

    def nouns(path: Path) -> list[str]:
        return [name for name in ours(path) if name.startswith(_NOUN_PACKAGES)]

    assert offences(mechanism, nouns) == {}


def test_messaging_knows_no_commerce() -> None:
    def commerce(path: Path) -> list[str]:
        return [name for name in ours(path) if name.startswith("shared.commerce")]

    assert offences(files("shared/messaging"), commerce) == {}


def test_programs_alone_know_all_tables() -> None:
    def tables(path: Path) -> list[str]:
        return [name for name in ours(path) if name.startswith("shared.tables")]

    assert offences(files("shared"), tables) == {}


def test_no_room_of_shared_leans_on_one_that_leans_on_it() -> None:
    rooms = {path.name for path in (ROOT / "shared").iterdir() if path.is_dir()}
    leans: dict[str, set[str]] = {
        room: {name.split(".")[1] for path in files(f"shared/{room}") for name in ours(path) if "." in name}
        & rooms - {room}
        for room in rooms
    }

    assert set(TopologicalSorter(leans).static_order()) == rooms


def test_a_class_name_has_one_meaning() -> None:
    places: dict[str, list[str]] = {}
    for path in files("shared", "workers"):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name.lstrip("_"), []).append(name_of(path))
    doubled = {name: where for name, where in places.items() if len(where) > 1}

    assert doubled == {}


#: Programs by which people act: they ask, call what a noun offers, and show what came of it.
FACES = ("workers/cli",)
#: Files of a face, by the beginning of their names, that have statements of their own, and why.
HAS_SQL = {
    "workers/cli/diagnosis/": "the diagnosis looks at the server itself, and at all tables",
}
RUNS_SQL = {"execute", "executemany", "fetch", "fetchrow", "fetchval"}


def sql_of(path: Path) -> list[str]:
    """Where a file has statements, or runs them."""
    if path.suffix == ".sql":
        return [path.name]
    nodes = ast.walk(parsed(path))
    calls = [
        node.func.attr
        for node in nodes
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    return [
        *(name for name in calls if name in RUNS_SQL),
        *(name for name in ours(path) if name.startswith("shared.postgres.queries")),
    ]


def test_a_face_has_no_statements() -> None:
    found = [path for face in FACES for path in (ROOT / face).rglob("*") if path.suffix in (".py", ".sql")]
    faces = [path for path in found if not name_of(path).startswith(tuple(HAS_SQL))]

    assert offences(faces, sql_of) == {}


def test_a_face_knows_no_worker_but_by_the_registry() -> None:
    allowed = ("workers.registry.", *(f"{face.replace('/', '.')}." for face in FACES))

    def others(path: Path) -> list[str]:
        programs = [name for name in ours(path) if name.startswith("workers.")]
        return [name for name in programs if not f"{name}.".startswith(allowed)]

    assert offences(files(*FACES), others) == {}


#: The command line and the registry know all workers: that is what they are for.
KINDS = [
    path.parent.name for path in files("workers") if path.name == "worker.py" and path.parent.name != "cli"
]


def test_workers_do_not_import_each_other() -> None:
    def others(path: Path) -> list[str]:
        kind = path.relative_to(ROOT / "workers").parts[0]
        workers = [n for n in ours(path) if n.startswith("workers.") and n.split(".")[1] != kind]
        return workers + [name for name in ours(path) if name.partition(".")[0] == "tests"]

    assert offences(files(*(f"workers/{kind}" for kind in KINDS)), others) == {}


#: The sender's stations, and what each may know of the others; all of them know its message.
STATIONS: dict[str, set[str]] = {"intake": {"calling"}, "claiming": set(), "calling": set(), "results": set()}


@pytest.mark.parametrize(("station", "may_know"), STATIONS.items())
def test_a_station_of_the_sender_knows_its_message_and_no_other_station(
    station: str, may_know: set[str]
) -> None:
    for path in files(f"workers/outbound_sender/{station}"):
        known = {name.split(".")[2] for name in ours(path) if name.startswith("workers.outbound_sender.")}
        assert known <= {station, "message", *may_know}, path


def test_what_runs_in_production_knows_no_deployment() -> None:
    def deployments(path: Path) -> list[str]:
        return [name for name in ours(path) if name.partition(".")[0] == "deploy"]

    assert offences(files("workers"), deployments) == {}


@pytest.mark.parametrize(("place", "may_know"), ALONE.items())
def test_the_innermost_parts_import_nothing_of_ours(place: str, may_know: str | None) -> None:
    paths = files(place) if (ROOT / place).is_dir() else [ROOT / place]
    for path in paths:
        foreign = [n for n in ours(path) if may_know is None or not n.startswith(may_know)]
        assert foreign == [], path


#: Client libraries of RabbitMQ, and who may know one: whoever opens a connection, and the implementations.
AMQP_CLIENTS = {"aio_pika", "aiormq", "pamqp", "pika"}
#: The examples show a gateway its own client.
KNOWS_A_CLIENT = ("shared/amqp/opening.py", "shared/amqp/pika/", "shared/amqp/frames/", "deploy/examples/")
#: Who may name an implementation of the seam: itself, and the one that hands it out.
NAMES_AN_IMPLEMENTATION = {
    "shared.amqp.pika": ("shared/amqp/client.py", "shared/amqp/pika/"),
    "shared.amqp.frames": ("shared/amqp/client.py", "shared/amqp/frames/"),
}


def test_only_an_implementation_of_the_seam_knows_an_amqp_client() -> None:
    def clients(path: Path) -> list[str]:
        name, known = name_of(path), imports(path)
        found = [other for other in known if other.partition(".")[0] in AMQP_CLIENTS]
        foreign = tuple(
            seam for seam, may_name in NAMES_AN_IMPLEMENTATION.items() if not name.startswith(may_name)
        )
        named = [other for other in known if other.startswith(foreign)]
        return named if name.startswith(KNOWS_A_CLIENT) else found + named

    assert offences(files(*SHIPPED), clients) == {}


def test_the_seam_knows_nothing_of_what_runs_on_it() -> None:
    leaves = (
        "addresses",
        "certificates",
        "durations",
        "errors",
        "ids",
        "masking",
        "reasons",
        "tasks",
        "values",
    )
    parts = ("observability.spans", "observability.tracing", "settings.server_urls")
    known = tuple(f"shared.{name}." for name in ("amqp", *leaves, *parts))

    def above(path: Path) -> list[str]:
        return [name for name in ours(path) if not f"{name}.".startswith(known)]

    assert offences(files("shared/amqp"), above) == {}


def test_a_folder_says_what_lives_there() -> None:
    folders = [path for path in files(*SHIPPED) if path.name == "__init__.py"]

    assert offences(folders, lambda path: not ast.get_docstring(parsed(path))) == {}, "whose home is it?"


def test_a_shipped_file_says_what_it_is_and_stays_readable() -> None:
    def faults(path: Path) -> list[str]:
        found = {
            "a vague name": path.stem in VAGUE,
            "longer than 350 lines": path.read_text(encoding="utf-8").count("\n") > 350,
            "no module docstring": bool(parsed(path).body) and not ast.get_docstring(parsed(path)),
        }
        return [fault for fault, is_there in found.items() if is_there]

    assert offences(files(*SHIPPED), faults) == {}


def test_tests_wait_for_conditions_not_for_times() -> None:
    def sleeps(path: Path) -> list[int]:
        if "time.sleep" not in path.read_text(encoding="utf-8"):
            return []
        module = parsed(path)
        loops = [node for node in ast.walk(module) if isinstance(node, ast.While)]
        polls = {id(node) for loop in loops for node in ast.walk(loop)}
        return [
            node.lineno
            for node in ast.walk(module)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep" and id(node) not in polls
        ]

    assert offences(files("tests/unit", "tests/integration", "tests/e2e", "tests/contract"), sleeps) == {}
