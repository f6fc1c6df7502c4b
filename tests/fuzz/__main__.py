"""`python -m tests.fuzz`: all decoders under atheris, each for its share of the time.

libFuzzer ends its process, so each decoder runs in a child of this program. Inputs that were found
interesting are kept in `.fuzz/<decoder>/`; one that a decoder fails at is named, with how to run it again.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.decoders import DECODERS, attempt

_FOUND: Final = Path(__file__).resolve().parents[2] / ".fuzz"


def main() -> None:
    """Exits 1 where a decoder failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all decoders together")
    parser.add_argument("--only", metavar="DECODER", help="one decoder instead of all")
    parser.add_argument("--input", type=Path, metavar="FILE", help="run --only once, on this input")
    options = parser.parse_args()
    if options.input is not None:
        attempt(DECODERS[options.only], options.input.read_bytes())
        return
    names = [options.only] if options.only else list(DECODERS)
    failed = [name for name in names if not _fuzz(name, options.minutes * 60 / len(names))]
    _tell(f"{len(names) - len(failed)} of {len(names)} decoders ended clean", *failed)
    sys.exit(1 if failed else 0)


def _tell(*lines: str) -> None:
    print("\n".join(lines), flush=True)


def _fuzz(name: str, seconds: float) -> bool:
    folder = _FOUND / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    limits = [
        f"-max_total_time={max(1, round(seconds))}",
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=4096",
    ]
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(folder), *limits]
    done = subprocess.run([*command, f"-artifact_prefix={folder}/failed-"], check=False, capture_output=True)
    told = done.stderr.decode(errors="replace").splitlines()
    _tell(f"{name}: {next((line for line in reversed(told) if line.startswith('Done')), 'FAILED')}")
    if done.returncode:
        _tell(done.stdout.decode(errors="replace"), *told[-25:])
    return done.returncode == 0


if __name__ == "__main__":
    main()
