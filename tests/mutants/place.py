"""Where mutants live: a copy of the tree, whose code is what its tests import and start.

Owns the copy, its proof, and running tests in it. The checkout is read, never written.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.mutants.mutation import Mutation

ROOT: Final = Path(__file__).resolve().parents[2]
_LEFT_OUT: Final = shutil.ignore_patterns(".git", ".venv", ".stack*", "__pycache__", ".*_cache", "*.egg-info")
_PACKAGES: Final = ("deploy", "schema", "shared", "tests", "workers.__main__")
#: Seconds that a wait in vain may take: most mutants die of one.
_PATIENCE_S: Final = 30
#: Seconds until the tests of one mutant are given up: what hangs is noticed, too.
_LIMIT_S: Final = 300.0
#: Seconds for the tests of all of them, unmutated.
_LIMIT_OF_ALL_S: Final = 3600.0


class NotTheCopy(Exception):  # noqa: N818 - said of the machine, not of a mutant
    """What would run is not the copy's code."""


class Place:
    """One copy, and the servers that its tests use."""

    def __init__(self, root: Path, servers: Mapping[str, str]) -> None:
        self._root = root
        self._environ = {**os.environ, **servers, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
        self._written = 0

    @classmethod
    @contextmanager
    def made(cls, servers: Mapping[str, str]) -> Iterator["Place"]:
        """A copy until the block ends. Raises NotTheCopy."""
        with TemporaryDirectory(prefix="wabus-mutants-") as directory:
            root = Path(directory).resolve() / "wabus"
            shutil.copytree(ROOT, root, ignore=_LEFT_OUT, symlinks=True)
            place = cls(root, servers)
            place._prove()
            yield place

    @contextmanager
    def mutated(self, mutation: Mutation) -> Iterator[None]:
        """The copy with a mutation, until the block ends. Raises StaleMutation."""
        path = self._root / mutation.file
        text = path.read_text(encoding="utf-8")
        self._write(path, mutation.apply(text))
        try:
            yield
        finally:
            self._write(path, text)

    def run_all(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """Run tests to the end; as `run_tests`."""
        return self._run(tests, _LIMIT_OF_ALL_S)

    def run_tests(self, tests: Sequence[str]) -> tuple[int | None, str]:
        """Run tests up to the first that fails: pytest's exit code (None: they did not end) and output."""
        return self._run(["-x", *tests], _LIMIT_S)

    def _run(self, arguments: Sequence[str], limit_s: float) -> tuple[int | None, str]:
        options = ["-q", "-p", "no:cacheprovider", "--patience", str(_PATIENCE_S)]
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *arguments],
            cwd=self._root,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            try:
                output, _ = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired:
                process.terminate()  # as Ctrl-C: what it started is ended with it
                output, _ = process.communicate()
                return None, output
        return process.returncode, output

    def _write(self, path: Path, text: str) -> None:
        """With a time of its own each: compiled code is told from other code by that."""
        path.write_text(text, encoding="utf-8")
        self._written += 2
        changed = path.stat().st_mtime + self._written
        os.utime(path, (changed, changed))

    def _prove(self) -> None:
        """An editable installation names the checkout: where the tests run, and where they start programs,
        the copy must win, with and without our variables.
        """
        imports = f"import {', '.join(_PACKAGES)}, sys"
        code = f"{imports}; print(*(sys.modules[name].__file__ for name in {_PACKAGES}), sep='\\n')"
        for environ in (self._environ, {"PATH": os.environ["PATH"]}):
            said = subprocess.run(
                [sys.executable, "-c", code],
                cwd=self._root,
                env=environ,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            strays = [line for line in said.splitlines() if not Path(line).is_relative_to(self._root)]
            if strays or len(said.splitlines()) != len(_PACKAGES):
                raise NotTheCopy(f"{strays or said} would run in place of the copy")
