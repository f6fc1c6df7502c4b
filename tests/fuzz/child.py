"""One decoder under atheris: `python -m tests.fuzz.child DECODER FOLDER OPTIONS`, until libFuzzer ends it."""

import hashlib
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shared", "workers", "deploy", "tests"]):
    from tests.fuzz.decoders import DECODERS, SEEDS, attempt


def main() -> None:
    """Put the seeds into the folder and search on from there."""
    name, folder, *options = sys.argv[1:]
    for decoder, seed in SEEDS:
        if decoder == name:
            (Path(folder) / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options, folder], lambda data: attempt(DECODERS[name], data))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
