"""Free loopback ports. Owns the choice only: between choosing and binding another program may take one."""

import random
import socket
from collections.abc import Sequence

#: Below the kernel's range for outgoing connections, so that no client socket takes a chosen port by chance.
_LOWEST, _HIGHEST = 15_000, 32_000


def choose(count: int, earlier: Sequence[int] = ()) -> tuple[int, ...]:
    """`count` ports that are free on 127.0.0.1 now; the `earlier` ones again if all of them still are."""
    if len(earlier) == count and all(_is_free(port) for port in earlier):
        return tuple(earlier)
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.randint(_LOWEST, _HIGHEST)  # noqa: S311 - not a secret
        if port not in chosen and _is_free(port):
            chosen.append(port)
    return tuple(chosen)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
