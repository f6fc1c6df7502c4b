"""Lanes, each with a copy and servers of its own, in which one mutant after the other is judged."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Final

from tests.mutants.judging import Judged, check_unmutated, judge
from tests.mutants.mutation import Mutation
from tests.mutants.place import Place
from tests.support.servers import running_stack

#: Each keeps servers of its own busy, and a good half of its time is waiting.
LANES: Final = 2


class UnmutatedFailure(Exception):  # noqa: N818 - said of the tests, before any mutant
    """Tests fail without any mutation."""


def judge_all(mutations: Sequence[Mutation]) -> Iterator[Judged]:
    """Judge mutants as lanes get free, in the order in which they end.

    Raises UnmutatedFailure, NotTheCopy, StackError.
    """
    lanes = min(LANES, len(mutations))
    with ExitStack() as cleanup:
        places: SimpleQueue[Place] = SimpleQueue()
        opened = [_open(cleanup) for _ in range(lanes)]
        _check(opened, mutations)
        for place in opened:
            places.put(place)
        done: SimpleQueue[Judged | BaseException] = SimpleQueue()

        def work(mutation: Mutation) -> None:
            place = places.get()
            try:
                done.put(judge(place, mutation))
            except BaseException as error:
                done.put(error)
                raise
            finally:
                places.put(place)

        pool = cleanup.enter_context(ThreadPoolExecutor(lanes))
        for mutation in mutations:
            pool.submit(work, mutation)
        for _ in mutations:
            judged = done.get()
            if isinstance(judged, BaseException):
                pool.shutdown(cancel_futures=True)
                raise judged
            yield judged


def _open(cleanup: ExitStack) -> Place:
    servers = cleanup.enter_context(running_stack(dict(os.environ)))
    return cleanup.enter_context(Place.made(servers))


def _check(places: Sequence[Place], mutations: Sequence[Mutation]) -> None:
    shares = [mutations[start :: len(places)] for start in range(len(places))]
    with ThreadPoolExecutor(len(places)) as pool:
        for failure in pool.map(check_unmutated, places, shares):
            if failure is not None:
                raise UnmutatedFailure(failure)
