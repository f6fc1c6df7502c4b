"""A worker's process spares itself searches for garbage, and still gets rid of it."""

import subprocess
import sys
from typing import Final

import orjson

#: A process of its own: what is frozen here would stay so for the tests that follow.
_PROGRAM: Final = """
import asyncio, gc, json, weakref
from shared.running.process import WorkerProcess
from shared.settings.settings import Settings

class Node:
    pass

def cycle():
    node = Node()
    node.itself = node
    return weakref.ref(node)

process = WorkerProcess("inbound-resolver", [], Settings.from_env({}), 1)
process.stop()
code = asyncio.run(process.run_program())
loaded = gc.get_freeze_count()
before = gc.get_stats()[0]["collections"]
kept = [[] for _ in range(5_000)]
searches = gc.get_stats()[0]["collections"] - before
left = [cycle() for _ in range(30_000)]
alive = sum(node() is not None for node in left)
print(json.dumps({"code": code, "loaded": loaded, "searches": searches, "alive": alive}))
"""


def test_a_worker_searches_neither_what_it_loaded_nor_the_young_often_and_still_frees_cycles() -> None:
    answer = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, check=True)
    told = orjson.loads(answer.stdout.splitlines()[-1])

    assert told["code"] == 0
    assert told["loaded"] > 50_000, "what was loaded at the start is searched again and again"
    assert told["searches"] <= 1, "5,000 new containers are searched more than once"
    assert 0 < told["alive"] <= 10_001, "cycles that nobody holds stay"
