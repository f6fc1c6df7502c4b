"""What `make up` says to try next works where it is read."""

import shutil
import sys
from pathlib import Path

import pytest

from deploy.commands.demo import next_steps


def test_commands_name_the_program_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/wabus").touch()
    monkeypatch.chdir(tmp_path)

    steps = next_steps(tmp_path, ".venv/bin/wabus")

    assert steps[0] == "set -a; . ./.stack/env; . ./.stack/demo.env; set +a"
    assert (steps[1], steps[-1]) == ("./.venv/bin/wabus doctor", "./.venv/bin/wabus demo --down")


def test_commands_work_in_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "a root"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    steps = next_steps(root, str(root / ".venv/bin/wabus"))

    assert steps[0].startswith(f"set -a; . '{root}/.stack/env'; ")
    assert steps[1] == f"'{root}/.venv/bin/wabus' doctor"


def test_a_program_on_the_path_is_named_shortly_and_a_module_by_its_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/wabus")

    assert next_steps(tmp_path, "/usr/bin/wabus")[1] == "wabus doctor"
    assert next_steps(tmp_path, "/app/workers/__main__.py")[1] == f"{sys.executable} -m workers doctor"
