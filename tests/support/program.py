"""The program `wabus` as a person runs it: arguments and variables in, exit code and output out."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from tests.support.starting import ForkedProcess, Streams


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished program left."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)


async def run_wabus(*arguments: str, environ: Mapping[str, str], stdin: bytes = b"") -> Outcome:
    """Run `wabus` to its end, with these variables and none of ours but PATH."""
    variables = {"PATH": os.environ["PATH"], "USER": "tester", **environ}
    with TemporaryDirectory() as folder:
        streams = Streams(*(Path(folder) / name for name in ("out", "err", "in")))
        streams.stdin.write_bytes(stdin)
        process = ForkedProcess("workers.__main__", arguments, variables, streams)
        try:
            code = await asyncio.to_thread(process.wait)
        finally:
            process.end()
        out, err = (path.read_text("utf-8") for path in (streams.out, streams.err))
    assert "Traceback" not in err, err
    return Outcome(code, out, err)
