"""What a statement reads: the rows of its scans, kept or thrown away, and the pages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.postgres.database import Connection


@dataclass(frozen=True, slots=True)
class Reading:
    """`rows` of tables and index entries that scans came upon; `pages` of 8 KiB; `ms` as PostgreSQL says."""

    rows: int
    pages: int
    ms: float
    plan: str


async def measure(
    connection: Connection, statement: str, arguments: Sequence[Any], *, generic: bool
) -> Reading:
    """Run a statement in a transaction that is rolled back.

    `generic`: by the plan for any arguments, which PostgreSQL may keep after five runs of a prepared
    statement; else by the plan for these.
    """
    transaction = connection.transaction()
    await transaction.start()
    try:
        mode = "force_generic_plan" if generic else "force_custom_plan"
        await connection.execute(f"set local plan_cache_mode = {mode}")
        given = await _literals(connection, statement, arguments)
        types = f" ({', '.join(kind for kind, _ in given)})" if given else ""
        await connection.execute(f"prepare measured{types} as {statement}")
        called = f"execute measured{_called(given)}"
        text = await connection.fetchval(f"explain (analyze, buffers, format json) {called}")
        await connection.execute("deallocate measured")
    finally:
        await transaction.rollback()
    top = json.loads(text)[0]
    plan = top["Plan"]
    return Reading(
        rows=sum(_rows_read(node) for node in _nodes(plan)),
        pages=plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        ms=top["Execution Time"],
        plan="\n".join(_line(node) for node in _nodes(plan) if _rows_read(node)),
    )


async def _literals(
    connection: Connection, statement: str, arguments: Sequence[Any]
) -> list[tuple[str, str]]:
    """Type and literal of each argument, as PostgreSQL writes them."""
    prepared = await connection.prepare(statement)
    kinds = [kind.name for kind in prepared.get_parameters()]
    if not kinds:
        return []
    columns = ", ".join(f"quote_nullable(${place}::{kind}::text)" for place, kind in enumerate(kinds, 1))
    row = await connection.fetchrow(f"select {columns}", *arguments)
    assert row is not None
    return list(zip(kinds, row, strict=True))


def _called(given: Sequence[tuple[str, str]]) -> str:
    return f" ({', '.join(literal for _, literal in given)})" if given else ""


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _rows_read(node: Mapping[str, Any]) -> int:
    """Of scans of tables and indexes alone: what others make of rows was read once."""
    if "Relation Name" not in node and node["Node Type"] != "Bitmap Index Scan":
        return 0
    if node["Node Type"] == "ModifyTable":
        return 0
    thrown_away = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + thrown_away) * node["Actual Loops"])


def _line(node: Mapping[str, Any]) -> str:
    name = node.get("Index Name", node.get("Relation Name"))
    condition = node.get("Index Cond", "")
    return f"{_rows_read(node)} rows: {node['Node Type']} {name} {condition}"
