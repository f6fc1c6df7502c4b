"""`deploy/systemd`: systemd knows every line of the unit, and its files set what a worker reads.

`systemd-analyze` judges the unit. Where it is not installed, what only it can judge is reported as not run.
"""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from shared.settings.settings import SECRETS, Settings
from tests.contract.test_compose import ROOT, complaints_of
from tests.support.checkers import checker
from workers.registry import WORKER_NAMES

FOLDER: Final = ROOT / "deploy" / "systemd"
UNIT: Final = FOLDER / "wabus@.service"
PROGRAM: Final = "/opt/wabus/bin/wabus"


def read_lines(path: Path) -> list[tuple[str, str]]:
    """The assignments of a unit or of a file of variables, in their order."""
    lines = [line.partition("=") for line in path.read_text().splitlines() if not line.startswith("#")]
    return [(name, value) for name, equals, value in lines if equals]


def environment(worker: str) -> dict[str, str]:
    """The variables of one worker, by the files that the unit names."""
    variables: dict[str, str] = {}
    for name, value in read_lines(UNIT):
        if name == "EnvironmentFile":
            path = FOLDER / Path(value.removeprefix("-").replace("%i", worker)).name
            assert value.startswith("-") or path.is_file()
            variables |= dict(read_lines(path)) if path.is_file() else {}
    return variables


def test_systemd_knows_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, "/bin/true"))
    done = subprocess.run(
        [checker("systemd-analyze"), "verify", unit], check=False, capture_output=True, text=True
    )

    assert [line for line in done.stderr.splitlines() if "wabus@" in line] == []
    assert done.returncode == 0, done.stderr


def test_a_worker_may_do_little_on_its_machine() -> None:
    review = ("security", "--offline=true", "--no-pager", "--threshold=15", str(UNIT))
    assert complaints_of("systemd-analyze", *review) == ""


def test_it_starts_a_worker_drains_it_and_leaves_a_wrong_setting_alone() -> None:
    told = dict(read_lines(UNIT))
    drain_s = Settings.from_env({"DRAIN_SECONDS": environment("scheduler")["DRAIN_SECONDS"]}).drain_seconds

    assert told["ExecStart"] == f"{PROGRAM} worker %i"
    assert (told["Restart"], told["RestartPreventExitStatus"]) == ("always", "2")
    assert told["KillSignal"] == "SIGTERM"
    assert int(told["TimeoutStopSec"]) > drain_s


@pytest.mark.parametrize("worker", WORKER_NAMES)
def test_the_files_set_only_settings_that_exist_and_hold(worker: str, tmp_path: Path) -> None:
    told = environment(worker)
    values = {"RABBITMQ_URL": "amqp://rabbitmq/", "DATABASE_URL": "postgresql://postgres/wabus"}
    values |= {"REDIS_URL": "redis://redis/0", "WHATSAPP_ACCESS_TOKEN": "token"}
    for name, value in values.items():
        (tmp_path / name).write_text(value)

    files = {name.removesuffix("_FILE") for name in told if name.endswith("_FILE")}
    assert all(told[f"{name}_FILE"] == f"/etc/wabus/secrets/{name}" for name in files)
    assert files <= SECRETS
    assert set(told) - {f"{name}_FILE" for name in files} <= set(Settings.variables()) - SECRETS
    assert ("WHATSAPP_ACCESS_TOKEN" in files) == (worker == "outbound-sender")
    assert Settings.from_env(told | {f"{name}_FILE": str(tmp_path / name) for name in files})


def test_every_file_of_variables_is_one_that_the_unit_reads() -> None:
    files = {path.stem for path in FOLDER.glob("*.env")}

    assert files <= {"wabus", *WORKER_NAMES}
