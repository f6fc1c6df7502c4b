"""A finding: what was looked at, how it is, and what to run where it is not well."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

#: Longest time for one server in all; to be reached, each has its own few seconds.
_PATIENCE_S: Final = 15.0


class Level(StrEnum):
    """How it is; only an error makes the command fail."""

    OK = "ok"
    WARN = "warn"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject`: a server, or `work`. `mend`: a command, or what to do.

    Version and latency only of a server that was reached.
    """

    subject: str
    check: str
    level: Level
    detail: str
    mend: str | None = None
    version: str | None = None
    latency_ms: float | None = None


def is_failed(findings: Sequence[Finding]) -> bool:
    """Whether any finding is an error."""
    return any(finding.level is Level.ERROR for finding in findings)


async def within_patience(
    subject: str, mend: str, look: Callable[[list[Finding]], Awaitable[None]]
) -> list[Finding]:
    """What `look` found, even where the server stopped answering half way."""
    found: list[Finding] = []
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await look(found)
    except TimeoutError:
        reached = "stopped answering" if found else "does not answer"
        detail = f"{reached} within {_PATIENCE_S:g} s"
        found.append(Finding(subject, "reached", Level.ERROR, detail, mend))
    return found
