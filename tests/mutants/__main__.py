"""`python -m tests.mutants`: break every promise of the catalogue, one at a time, and see who notices.

`--only TEXT` takes those whose name, file or rule contains it. Exit code 1 where a mutant survived or is
stale, 2 where the tests fail without any mutation or cannot run.
"""

import argparse
import signal
import sys

import orjson
from rich.console import Console

from shared.errors import StackError
from tests.mutants.catalogue import MUTATIONS
from tests.mutants.judging import Fate, Judged
from tests.mutants.lane import UnmutatedFailure, judge_all
from tests.mutants.place import NotTheCopy
from tests.mutants.table import print_table
from workers.cli.printing import open_console


def main() -> int:
    """Judge the mutants and print what came of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="mutations that this text names")
    parser.add_argument("--json", action="store_true", help="print one list for programs at the end")
    options = parser.parse_args()
    mutations = [mutation for mutation in MUTATIONS if mutation.matches(options.only)]
    if not mutations:
        parser.error(f"no mutation has {options.only!r} in its name, file or rule")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers and copies go with us
    progress = Console(stderr=True)
    judged: list[Judged] = []
    try:
        for one in judge_all(mutations):
            judged.append(one)
            _tell(progress, one, f"{len(judged)}/{len(mutations)}")
    except (UnmutatedFailure, NotTheCopy, StackError) as error:
        progress.print(f"no mutant can be judged: {error}", markup=False, style="red")
        return 2
    if options.json:
        sys.stdout.write(orjson.dumps([one.as_json() for one in judged]).decode() + "\n")
    else:
        print_table(judged, open_console())
    return 0 if all(one.fate is Fate.KILLED for one in judged) else 1


def _tell(progress: Console, one: Judged, place: str) -> None:
    line = f"{place:>8}  {one.fate.value:8}  {one.seconds:6.1f} s  {one.mutation.name}"
    progress.print(line, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
