"""`make test` has the programs it checks with: found, installed where that is allowed, or named."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.stack.machine import Machine
from deploy.stack.packages import APT, PackageManager
from tests.support.checkers import CHECKERS, provide_checkers

ROOT = Path(__file__).resolve().parents[2]
#: Takes Debian's names of packages, and puts each one's program into the folder that the machine searches.
INSTALLING = """
for package in "$@"; do
    case $package in prometheus) name=promtool ;; procps) name=ps ;; *) name=$package ;; esac
    ln -s /bin/true "{folder}/$name"
    echo "$package" >> "{folder}/installed"
done
"""


def bare_machine(folder: Path, script: str) -> Machine:
    """A machine on which only this folder holds programs, and whoever asks may install."""
    manager = PackageManager(name="apt-get", packages=APT.packages, script=script, needs_root=False)
    return Machine(path="", directories=(str(folder),), package_manager=manager)


@pytest.fixture
def said() -> list[str]:
    return []


def test_missing_checkers_are_installed_by_their_packages(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "ps").symlink_to("/bin/true")

    provide_checkers(bare_machine(tmp_path, INSTALLING.format(folder=tmp_path)), said.append)

    assert (tmp_path / "installed").read_text().split() == ["docker-compose", "prometheus"]
    assert said == ["installing docker-compose prometheus with apt-get (system services stay off)"]


def test_where_all_checkers_are_there_nothing_is_installed(tmp_path: Path, said: list[str]) -> None:
    for name in CHECKERS:
        (tmp_path / name).symlink_to("/bin/true")

    provide_checkers(bare_machine(tmp_path, INSTALLING.format(folder=tmp_path)), said.append)

    assert not (tmp_path / "installed").exists()
    assert said == []


def test_where_nothing_may_be_installed_the_command_is_named(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackageManager, "may_install", False)

    provide_checkers(bare_machine(tmp_path, "exit 1"), said.append)

    assert len(said) == 1
    assert "checks that need docker-compose, promtool, ps are not run" in said[0]
    assert said[0].endswith("run: sudo apt-get install docker-compose prometheus procps")


def test_where_no_package_manager_is_known_the_programs_are_named(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(replace(bare_machine(tmp_path, ""), package_manager=None), said.append)

    assert said == ["checks that need docker-compose, promtool, ps are not run: install them first"]


def test_an_installation_that_fails_is_told_with_its_reason(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(bare_machine(tmp_path, 'echo "no route for $*"; exit 100'), said.append)

    assert "no route for docker-compose prometheus procps" in said[-1]
    assert "are not run" in said[-1]


def test_packages_that_lack_the_program_are_told(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(bare_machine(tmp_path, "exit 0"), said.append)

    assert said[-1] == (
        "checks that need docker-compose, promtool, ps are not run: their packages do not hold them"
    )


@pytest.mark.parametrize("target", ["test", "check"])
def test_make_has_the_checkers_before_it_runs_the_tests(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    [provided] = [place for place, line in enumerate(lines) if "-m tests.support.checkers" in line]
    assert "-m pytest" in lines[provided + 1]
