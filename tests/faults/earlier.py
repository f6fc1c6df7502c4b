"""The release before this one, from this clone's own history, to be run beside what stands here.

Owns where its tree lies and by which environment it is run. Which release that is, `deploy/upgrade.md` says.
"""

import io
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zipfile import ZipFile

from schema.migrator import latest_version
from tests.support.upgrade_page import releases
from workers.registry import WORKER_NAMES

ROOT: Final = Path(__file__).resolve().parents[2]
#: What a worker's process imports, at a test's pace too.
_FOLDERS: Final = ("deploy", "schema", "shared", "tests", "workers")


@dataclass(frozen=True, slots=True)
class Earlier:
    """What plays the old release. `missing`: why it is this tree itself; None where it is the release.

    `schema`: the version that its workers need at their start.
    """

    name: str
    tree: Path
    schema: int
    missing: str | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which `python -m` runs it, wherever it is started."""
        return {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(self.tree)}

    @property
    def workers(self) -> tuple[str, ...]:
        """Those of this tree's workers that it has, too."""
        return tuple(
            name for name in WORKER_NAMES if (self.tree / "workers" / name.replace("-", "_")).is_dir()
        )

    @property
    def is_behind(self) -> bool:
        """Whether this tree's schema is newer."""
        return self.schema < latest_version()


@contextmanager
def earlier_release() -> Iterator[Earlier]:
    """The newest release of the changelog that is out.

    Where it cannot be had, this very tree takes its place: what is rehearsed then is the way from the old
    workers to the new ones and back, not that two versions get on with each other.
    """
    version, commit, schema = next(release for release in releases() if release.commit)
    assert commit is not None
    with TemporaryDirectory(prefix="wabus-earlier-") as folder:
        tree = Path(folder)
        missing = _unpack(commit, tree)
        if missing is None:
            yield Earlier(f"{version} ({commit})", tree, schema)
        else:
            yield Earlier("this tree", ROOT, latest_version(), f"{version} ({commit}): {missing}")


def _unpack(commit: str, folder: Path) -> str | None:
    """Put the commit's tree there; why it cannot be had."""
    try:
        done = subprocess.run(
            ["git", "archive", "--format=zip", commit, *_FOLDERS],
            check=False,
            cwd=ROOT,
            capture_output=True,
            timeout=60,
        )
    except OSError as error:
        return f"no git: {error}"
    if done.returncode:
        return f"not in this checkout's history: {done.stderr.decode(errors='replace').strip()}"
    with ZipFile(io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder)
    return None
