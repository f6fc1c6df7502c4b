"""SQL is text of ours and values are parameters: no statement of shipped code is built from a value.

A statement is whatever is passed to a method that runs one. It must be a literal, a constant of a module, or
looked up among the named queries of a `.sql` file; exceptions are listed with their reason.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted(path for folder in ("shared", "workers", "schema") for path in (ROOT / folder).rglob("*.py"))
RUNS: Final = frozenset({"execute", "executemany", "fetch", "fetchrow", "fetchval", "cursor", "prepare"})
_UPKEEP: Final = "a table's upkeep names it: of a `.sql` file, which tests/contract/test_upkeep.py holds"
#: (file, expression): why it is safe.
EXCEPTIONS: Final = {
    ("schema/migrator.py", "migration.up"): "a migration's own file, which a checksum guards",
    ("schema/migrator.py", "migration.down"): "a migration's own file",
    (
        "schema/migrator.py",
        "f\"set local lock_timeout = '{_LOCK_TIMEOUT}'\"",
    ): "a constant of the module: SET takes no parameters",
    ("shared/postgres/gauges.py", "counted.statement"): _UPKEEP,
    ("shared/messaging/customers/erasure.py", "table.theirs.erase"): _UPKEEP,
    ("shared/messaging/customers/export.py", "table.theirs.export"): _UPKEEP,
    ("workers/scheduler/retention.py", "old.find"): _UPKEEP,
    ("workers/scheduler/retention.py", "old.prune"): _UPKEEP,
    ("workers/scheduler/retention.py", "prune"): _UPKEEP,
    (
        "shared/postgres/connecting.py",
        "f'select where pg_backend_pid() = {pid}'",
    ): "a number that the server gave, asked without a prepared statement",
    (
        "shared/postgres/database.py",
        "'; '.join((f\"set local {name} = '{value}'\" for name, value in self._session.items()))",
    ): "settings of ours: SET takes no parameters",
}
#: Methods of ours that hand a statement on, by file: their callers are looked at.
HANDS_ON: Final = {"shared/postgres/database.py": {"statement"}, "shared/postgres/connecting.py": {"args"}}


def statements(path: Path) -> Iterator[ast.expr]:
    """What is passed as a statement."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in RUNS:
            yield from node.args[:1]


def constants(path: Path) -> set[str]:
    """Names that a module binds once, to a literal text."""
    bound = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and is_literal(node.value):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            bound |= {target.id for target in targets if isinstance(target, ast.Name)}
    return bound


def is_literal(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_fixed(node: ast.expr, known: set[str]) -> bool:
    """Whether no value of a message can be in it."""
    match node:
        case ast.Constant(value=str()):
            return True
        case ast.Name(id=name) | ast.Starred(value=ast.Name(id=name)):
            return name in known
        case ast.Subscript(value=ast.Name(id=name)):
            return name in ("QUERIES", "_QUERIES")
        case ast.Subscript(value=ast.Attribute(attr=name)):
            return name in ("queries", "_queries")
        case _:
            return False


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_statement_is_built_from_a_value(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    known = constants(path) | HANDS_ON.get(name, set())
    built = [ast.unparse(node) for node in statements(path) if not is_fixed(node, known)]

    assert [text for text in built if (name, text) not in EXCEPTIONS] == []


def test_every_exception_is_still_there() -> None:
    there = {
        (str(path.relative_to(ROOT)), ast.unparse(node)) for path in SHIPPED for node in statements(path)
    }
    assert EXCEPTIONS.keys() <= there


@pytest.mark.parametrize(
    "source",
    [
        'conn.fetch(f"select {x}")',
        'conn.execute("select " + x)',
        'conn.fetchval("select %s" % x)',
        'conn.fetchrow("select {}".format(x))',
        "conn.fetch(statement)",
        "conn.fetch(body['query'])",
    ],
)
def test_what_is_built_is_seen(tmp_path: Path, source: str) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)

    assert [is_fixed(node, constants(path)) for node in statements(path)] == [False]
