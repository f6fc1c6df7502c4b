"""One `up` or `down` at a time per root. The lock is on the directory itself, so it leaves no file behind."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.errors import StackError

_TIMEOUT_S = 300.0
_POLL_S = 0.2


@contextlib.contextmanager
def locked(root: Path, progress: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `root`, waiting for another holder. StackError after five minutes."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        told = False
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise StackError(f"another `wabus stack` holds {root} for {_TIMEOUT_S:.0f} s")
            if not told:
                progress("another `wabus stack` is at work here; waiting for it")
                told = True
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
