"""`deploy/upgrade.md` as its tests read it: blocks of commands, tables, releases."""

import re
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path(__file__).resolve().parents[2] / "deploy" / "upgrade.md"
_BLOCK: Final = re.compile(r"^### (.+?)$|^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RELEASE: Final = re.compile(r"^### (\S+) \((.+)\)$", re.MULTILINE)
_COMMIT: Final = re.compile(r"commit `([0-9a-f]{7,40})`")
_SCHEMA: Final = re.compile(r"schema (\d+)")

_SERVER: Final = re.compile(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| [\d.]+ \| `(\S+)` \|$", re.MULTILINE)


class Release(NamedTuple):
    """An entry of the changelog. `commit`: None of the one that is not out yet; `schema`: its version."""

    version: str
    commit: str | None
    schema: int


class ServerVersions(NamedTuple):
    """A row of the table of servers: which versions of one are supported, from and to."""

    server: str
    oldest: tuple[int, ...]
    newest: tuple[int, ...]
    image: str

    def holds(self, version: str) -> bool:
        """Whether this one is; the page names as many parts of a version as matter."""
        parts = _parts(version)[: len(self.oldest)]
        return self.oldest <= parts <= self.newest


def text() -> str:
    """The whole page."""
    return PAGE.read_text(encoding="utf-8")


def blocks() -> dict[str, str]:
    """The commands below each heading of the third rank; a heading has one block at most."""
    found: dict[str, str] = {}
    heading = ""
    for match in _BLOCK.finditer(text()):
        if match[1] is not None:
            heading = match[1]
            continue
        assert heading not in found, f"two blocks below {heading!r}"
        found[heading] = match[2]
    return found


def server_versions() -> list[ServerVersions]:
    """The table of servers."""
    return [
        ServerVersions(server, _parts(oldest), _parts(newest), image)
        for server, oldest, newest, image in _SERVER.findall(text())
    ]


def releases() -> list[Release]:
    """The changelog's entries, the newest first."""
    found = []
    for match in _RELEASE.finditer(text()):
        commit, schema = _COMMIT.search(match[2]), _SCHEMA.search(match[2])
        assert schema is not None, match[0]
        found.append(Release(match[1], commit and commit[1], int(schema[1])))
    return found


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)))
