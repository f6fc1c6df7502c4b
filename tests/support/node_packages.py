"""Packages of npm that tests check with: pinned by a hashed lock, installed into the virtual environment.

The lock is `tests/support/node/package-lock.json`, renewed there by
`npm install --package-lock-only --omit-lockfile-registry-resolved`.
"""

import fcntl
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.support.checkers import checker

_LOCKED: Final = Path(__file__).parent / "node"
_FILES: Final = ("package.json", "package-lock.json")
_INSTALL: Final = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
_TIMEOUT_S: Final = 300


@cache
def node_modules() -> Path:
    """The folder that holds them; the test that asks is skipped as not run where npm cannot install them."""
    npm, folder = checker("npm"), Path(sys.prefix) / "node"
    folder.mkdir(exist_ok=True)
    with (folder / "installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        installed = folder / "node_modules"
        if not (installed / ".package-lock.json").exists() or not _is_current(folder):
            for name in _FILES:
                shutil.copyfile(_LOCKED / name, folder / name)
            done = subprocess.run(
                [str(npm), *_INSTALL],
                cwd=folder,
                check=False,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
            )
            if done.returncode:
                (folder / _FILES[0]).unlink()
                pytest.skip(f"not run: npm could not install: {(done.stderr or done.stdout).strip()[:300]}")
    return installed


def _is_current(folder: Path) -> bool:
    return all(
        (folder / name).exists() and (folder / name).read_bytes() == (_LOCKED / name).read_bytes()
        for name in _FILES
    )
