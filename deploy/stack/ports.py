"""Loopback ports. Owns the choice only: between choosing and binding another program may take one."""

import random
import socket
from collections.abc import Sequence
from pathlib import Path

#: Below the kernel's range for outgoing connections, so that no client socket takes a chosen port by chance.
_LOWEST, _HIGHEST = 15_000, 32_000


def wanted(root: Path, owner: str, count: int, earlier: Sequence[int] = ()) -> tuple[int, ...]:
    """The ports that a program of the checkout `root` should have: its earlier ones, else always the same."""
    if len(earlier) == count:
        return tuple(earlier)
    return tuple(random.Random(f"{root} {owner}").sample(range(_LOWEST, _HIGHEST), count))  # noqa: S311


def choose(count: int, preferred: Sequence[int] = ()) -> tuple[int, ...]:
    """`count` ports that are free on 127.0.0.1 now: the preferred ones, and others for those that are not."""
    chosen: list[int] = []
    for place in range(count):
        port = preferred[place] if place < len(preferred) else _draw()
        while port in chosen or not _is_free(port):
            port = _draw()
        chosen.append(port)
    return tuple(chosen)


def describe_moves(owner: str, preferred: Sequence[int], chosen: Sequence[int]) -> list[str]:
    """A line for each port that a program did not get."""
    pairs = zip(preferred, chosen, strict=True)
    return [f"{owner}: port {missed} is taken, it has {got} now" for missed, got in pairs if missed != got]


def _draw() -> int:
    return random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - not a secret


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
