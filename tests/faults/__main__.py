"""`python -m tests.faults`: faults under load, judged. `--seed N` replays one run, `--seeds 20` runs 1 to 20.

Two at once, each with servers of its own: half of a run is waiting for what becomes of ambiguous sends.
Exit code 1 where a promise was broken, 2 where the rig itself could not run.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Final

import orjson
from rich.console import Console

from shared.errors import StackError
from tests.faults.showing import run_shown
from tests.faults.table import print_table
from workers.cli.printing import open_console

_AT_ONCE: Final = 2


def main() -> int:
    """Run the seeds and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int, help="run this seed only")
    which.add_argument("--seeds", type=int, default=20, help="run the seeds from 1 to this one")
    parser.add_argument("--json", action="store_true", help="print one object for programs at the end")
    options = parser.parse_args()
    seeds = [options.seed] if options.seed is not None else list(range(1, options.seeds + 1))
    try:
        with ProcessPoolExecutor(_AT_ONCE, get_context("spawn")) as processes:
            outcomes = list(processes.map(partial(run_shown, time.monotonic()), seeds))
    except StackError as error:
        Console(stderr=True).print(f"the rig cannot run: {error}", markup=False, style="red")
        return 2
    if options.json:
        sys.stdout.write(orjson.dumps([outcome.as_json() for outcome in outcomes]).decode() + "\n")
    else:
        print_table(outcomes, open_console())
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
