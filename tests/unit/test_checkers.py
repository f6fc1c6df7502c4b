"""`make test` has what it checks with: found, installed where that is allowed, or named."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.stack.machine import Machine
from deploy.stack.packages import APT, PackageManager
from tests.support.checkers import CHECKERS, provide_checkers

#: Servers that run elsewhere: nobody need install them.
ELSEWHERE = {
    "RABBITMQ_URL": "amqp://h/",
    "DATABASE_URL": "postgresql://h/x",
    "REDIS_URL": "redis://h/0",
}
PACKAGES = "docker-compose prometheus procps postgresql pgbouncer redis-server curl nodejs npm"
ROOT = Path(__file__).resolve().parents[2]
#: Takes Debian's names of packages, and puts each one's program into the folder that the machine searches.
INSTALLING = """
for package in "$@"; do
    case $package in
        prometheus) name=promtool ;; procps) name=ps ;; postgresql) name=initdb ;; nodejs) name=node ;;
        *) name=$package ;;
    esac
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

    provide_checkers(bare_machine(tmp_path, INSTALLING.format(folder=tmp_path)), ELSEWHERE, said.append)

    assert (tmp_path / "installed").read_text().split() == [
        "docker-compose",
        "prometheus",
        "postgresql",
        "pgbouncer",
        "redis-server",
        "curl",
        "nodejs",
        "npm",
    ]
    assert said == [
        "installing docker-compose prometheus postgresql pgbouncer redis-server curl nodejs npm with apt-get"
        " (system services stay off)"
    ]


def test_where_all_checkers_are_there_nothing_is_installed(tmp_path: Path, said: list[str]) -> None:
    for name in CHECKERS:
        (tmp_path / name).symlink_to("/bin/true")

    provide_checkers(bare_machine(tmp_path, INSTALLING.format(folder=tmp_path)), ELSEWHERE, said.append)

    assert not (tmp_path / "installed").exists()
    assert said == []


def test_where_nothing_may_be_installed_the_command_is_named(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackageManager, "may_install", False)

    provide_checkers(bare_machine(tmp_path, "exit 1"), ELSEWHERE, said.append)

    assert len(said) == 1
    assert f"checks that need {', '.join(CHECKERS)} are not run" in said[0]
    assert said[0].endswith(f"run: sudo apt-get install {PACKAGES}")


def test_where_no_package_manager_is_known_the_programs_are_named(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(replace(bare_machine(tmp_path, ""), package_manager=None), ELSEWHERE, said.append)

    assert len(said) == 1
    assert f"checks that need {', '.join(CHECKERS)} are not run: no binaries of" in said[0]


def test_an_installation_that_fails_is_told_with_its_reason(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(bare_machine(tmp_path, 'echo "no route for $*"; exit 100'), ELSEWHERE, said.append)

    assert f"no route for {PACKAGES}" in said[-1]
    assert "are not run" in said[-1]


def test_packages_that_lack_the_program_are_told(tmp_path: Path, said: list[str]) -> None:
    provide_checkers(bare_machine(tmp_path, "exit 0"), ELSEWHERE, said.append)

    assert said[-1] == f"checks that need {', '.join(CHECKERS)} are not run: their packages do not hold them"


def test_missing_servers_are_installed_with_the_checkers(tmp_path: Path, said: list[str]) -> None:
    named = {"DATABASE_URL": ELSEWHERE["DATABASE_URL"], "PATH": str(tmp_path)}
    machine = bare_machine(tmp_path, f'echo "$@" > {tmp_path}/installed')

    can_run = provide_checkers(machine, named, said.append)

    assert (tmp_path / "installed").read_text().split() == [
        "rabbitmq-server",
        "redis-server",
        "docker-compose",
        "prometheus",
        "procps",
        "postgresql",
        "pgbouncer",
        "curl",
        "nodejs",
        "npm",
    ]
    assert not can_run
    assert said[-1] == "no test is run: their packages do not hold them"


def test_without_a_server_that_may_not_be_installed_no_test_is_run(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PackageManager, "may_install", False)

    can_run = provide_checkers(bare_machine(tmp_path, "exit 1"), {"PATH": str(tmp_path)}, said.append)

    assert not can_run
    assert len(said) == 1
    assert said[0].startswith("no test is run: ")
    servers = "rabbitmq-server postgresql redis-server"
    checkers = "docker-compose prometheus procps pgbouncer curl nodejs npm"

    assert said[0].endswith(f"sudo apt-get install {servers} {checkers}")


@pytest.mark.parametrize("target", ["test", "check"])
def test_make_has_the_checkers_before_it_runs_the_tests(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    [provided] = [place for place, line in enumerate(lines) if "-m tests.support.checkers" in line]

    assert "-m pytest" in lines[provided + 1]
