"""`make bench`: wabus beside others, on this machine and on servers of its own, in under 20 minutes.

Each row (a kind of work) is played by each column (who does it), in turn, round by round; the table tells
medians, and ratios before all else, for figures depend on the machine. `make bench-full` adds latency under
more loads, other sizes of a batch, more replicas, ten million messages in the database, and what one's
trouble costs others.
"""

import argparse
import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import report
from tests.bench.comparison import Plan, compare
from tests.bench.figures import Measured
from tests.bench.ground import ground

#: Program → what it measures, and against which goal of the project.
_TROUBLE: Final = {
    "fairness": "what one number's trouble costs another's replies: goal p95 below 1 s",
    "sick_replica": "how soon a healthy resolver has the work of a sick one: goal 15 s",
    "row_lock": "what a locked row of one customer costs all others: goal a wait below 1 s",
    "erasure": "what erasing a customer of 100,000 messages costs others: goal a wait below 1 s",
    "joining": "customers of 1,000 messages joined: goal 200 ms; a resolver beside a million addresses: 0.95",
    "renames": "rows of before under another notation are renamed, messages meanwhile: no goal yet",
    "readiness": "how a resolver under full load answers probes: goals 200 each time, within 200 ms",
}


def main() -> None:
    """Measure, tell, and keep the figures where asked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--full", action="store_true", help="sweeps, replicas and ten million messages too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the messages: less for a quick look")
    parser.add_argument("--rows", help="only these, by commas")
    parser.add_argument("--columns", help="only these, by commas")
    arguments = parser.parse_args()
    plan = Plan(
        rounds=arguments.rounds,
        share=arguments.share,
        rows=_split(arguments.rows),
        columns=_split(arguments.columns),
        is_full=arguments.full,
    )
    with ground() as place:
        measured = asyncio.run(compare(place, plan, _tell, partial(_keep, arguments.json)))
    print("\n".join(report.lines(measured)))
    if arguments.full:
        sys.exit(_measure_trouble())


def _measure_trouble() -> int:
    """What one's trouble costs others, program by program; the exit code is that of the first that failed."""
    for name, what in _TROUBLE.items():
        print(f"\n{name}: {what}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode
        if code:
            return code
    return 0


def _split(names: str | None) -> frozenset[str] | None:
    return frozenset(names.split(",")) if names else None


def _keep(path: Path | None, measured: Measured) -> None:
    if path is not None:
        measured.write(path)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
