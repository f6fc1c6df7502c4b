"""The registry against what else names workers: the workers themselves, the topology, the README.

`docker-compose.yml` and Prometheus' targets are held against it in `test_compose.py`.
"""

import re
from pathlib import Path

import pytest

from shared.amqp.topology import DLQ_HANDLER, WORK_QUEUES
from shared.durations import DURATIONS
from shared.running.kit import Kit
from shared.settings.settings import Settings
from workers.registry import METRICS_PORTS, PROGRAMS, Program, load_worker

ROOT = Path(__file__).resolve().parents[2]


def read_table() -> list[tuple[str, int, list[str]]]:
    """The README's table of workers: name, port, queues; `.bulk` is there `outbound-sender.bulk`."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \((\d+)\) \| ([^|]*) \|", text, re.MULTILINE)
    return [
        (
            name,
            int(port),
            [name + queue if queue[0] == "." else queue for queue in re.findall("`(.+?)`", cell)],
        )
        for name, port, cell in rows
    ]


def test_every_worker_is_a_folder_and_a_line() -> None:
    folders = {path.parent.name for path in (ROOT / "workers").glob("*/worker.py")} - {"cli"}

    assert {program.module.removesuffix(".worker") for program in PROGRAMS} == folders


def test_every_worker_has_a_name_and_a_port_of_its_own() -> None:
    assert len(set(METRICS_PORTS.values())) == len(METRICS_PORTS) == len(PROGRAMS) + 1


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
async def test_a_worker_consumes_the_queues_of_its_line(program: Program) -> None:
    settings = Settings.from_env({"WHATSAPP_ACCESS_TOKEN": "token"})
    spec = load_worker(program.name)

    worker = spec.compose(Kit.build(program.name, settings, DURATIONS))
    for closer in worker.closers:
        await closer()

    assert spec.name == program.name
    assert tuple(route.queue for route in worker.routes) == program.queues


def test_every_queue_of_work_has_one_worker() -> None:
    consumed = [queue for program in PROGRAMS for queue in program.queues]

    assert sorted(consumed) == sorted([*WORK_QUEUES, DLQ_HANDLER])


def test_the_readme_lists_every_worker_with_its_port_and_queues() -> None:
    lines = [(program.name, program.metrics_port, list(program.queues)) for program in PROGRAMS]

    assert read_table() == lines
