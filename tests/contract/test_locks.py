"""The lock files: whole, by hash alone, and of one mind."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def packages(lock: str) -> dict[str, str]:
    """Pinned versions by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_every_package_is_pinned_and_hashed() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-fuzz.lock"):
        entries = re.split(r"^(?=[a-z])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
        assert len(entries) == len(packages(lock))
        assert all("--hash=sha256:" in entry for entry in entries)


def test_no_address_is_recorded() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock", "requirements-fuzz.lock"):
        lines = (ROOT / lock).read_text().splitlines()
        assert not [
            line for line in lines if "://" in line or (line.lstrip().startswith("--") and "hash" not in line)
        ]


def test_development_runs_on_the_versions_of_production() -> None:
    for lock in ("requirements-dev.lock", "requirements-fuzz.lock"):
        assert packages("requirements.lock").items() <= packages(lock).items()


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[\[<>=; ]", wanted)[0] for wanted in project["dependencies"]]
    development = [re.split(r"[\[<>=; ]", wanted)[0] for wanted in project["optional-dependencies"]["dev"]]

    assert set(names) <= set(packages("requirements.lock"))
    assert set(names + development) <= set(packages("requirements-dev.lock"))
