"""The process behind `wabus demo --up`: keeps sandbox and workers running until it is told to stop.

Run as `python -m deploy.demo.keeping ROOT`, with the servers' URLs in its environment; its state is in
`.stack/demo.json`.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Final

import uvloop

from deploy.demo.processes import Fleet
from deploy.demo.programs import make_programs
from deploy.demo.state import write_settings, write_state
from workers.registry import WORKER_NAMES

_DRAIN_S: Final = 30.0
_RENEW_S: Final = 1.0
_SEED: Final = 0


async def keep(root: Path) -> None:
    """Keep all programs running until SIGTERM or SIGINT; then drain the workers, then end the sandbox."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    programs = make_programs(os.environ, os.environ, root, _SEED)
    write_settings(root, programs[0].env)
    async with Fleet.running(programs, root, lambda fleet: write_state(root, fleet.refs(), {})) as fleet:
        while not stop.is_set():
            write_state(root, fleet.refs(), fleet.urls())
            await _wait(stop)
        await fleet.stop(WORKER_NAMES, _DRAIN_S)


async def _wait(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(_RENEW_S):
            await stop.wait()
    except TimeoutError:
        return


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(keep(Path(sys.argv[1])))
