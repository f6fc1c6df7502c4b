"""The program `wabus` as a person runs it: arguments and variables in, exit code and output out."""

import asyncio
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson


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
    """Run `python -m workers` to its end, with these variables and none of ours but PATH."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers",
        *arguments,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={"PATH": os.environ["PATH"], "USER": "tester", **environ},
    )
    out, err = await process.communicate(stdin)
    assert process.returncode is not None
    assert "Traceback" not in err.decode(), err.decode()
    return Outcome(process.returncode, out.decode(), err.decode())
