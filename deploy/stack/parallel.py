"""The same action on several servers at once, every failure told."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from shared.errors import StackError

Item = TypeVar("Item")


def act_on_all(act: Callable[[Item], None], items: Iterable[Item], abandon: Event) -> None:
    """Run `act` on each item in a thread of its own and wait for all.

    What fails does not stop the others; all StackErrors are raised as one at the end. `abandon` is set when
    the caller is interrupted, for the threads to see.
    """
    with ThreadPoolExecutor() as pool:
        try:
            futures = [pool.submit(act, item) for item in items]
            wait(futures)
        except BaseException:
            abandon.set()
            raise
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in errors:
        if not isinstance(error, StackError):
            raise error
    if errors:
        raise StackError("\n".join(str(error) for error in errors))
