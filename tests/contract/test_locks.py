"""The lock files: whole, by hash alone, and of one mind."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Locks for more than the workers, by the extra of the project that they hold.
EXTRAS = {
    "dev": "requirements-dev.lock",
    "fuzz": "requirements-fuzz.lock",
    "pictures": "requirements-pictures.lock",
    "bench": "requirements-bench.lock",
}


def packages(lock: str) -> dict[str, str]:
    """Pinned versions by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_every_package_is_pinned_and_hashed() -> None:
    for lock in ("requirements.lock", *EXTRAS.values()):
        entries = re.split(r"^(?=[a-z])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
        assert all(re.match(r"[a-z0-9-]+==[^ ;]+", entry) for entry in entries)
        assert all("--hash=sha256:" in entry for entry in entries)


def test_no_address_is_recorded() -> None:
    for lock in ("requirements.lock", *EXTRAS.values()):
        lines = (ROOT / lock).read_text().splitlines()
        assert not [
            line for line in lines if "://" in line or (line.lstrip().startswith("--") and "hash" not in line)
        ]


def test_development_runs_on_the_versions_of_production() -> None:
    for lock in EXTRAS.values():
        assert packages("requirements.lock").items() <= packages(lock).items()


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"requirements.lock": project["dependencies"]} | {
        lock: project["dependencies"] + project["optional-dependencies"][extra]
        for extra, lock in EXTRAS.items()
    }

    for lock, dependencies in wanted.items():
        assert {re.split(r"[\[<>=; ]", one)[0] for one in dependencies} <= set(packages(lock))
