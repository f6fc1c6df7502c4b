"""Ports of a local stack: in one checkout the same each time, unless somebody else has one of them."""

import socket
from pathlib import Path

from deploy.demo.programs import make_programs, wanted_ports
from deploy.stack import ports

URLS = {"RABBITMQ_URL": "amqp://a/", "DATABASE_URL": "postgresql://b/", "REDIS_URL": "redis://c/"}


def test_a_program_wants_the_same_ports_each_time_and_none_of_another_checkout() -> None:
    here, there = Path("/home/ana/wabus"), Path("/home/ben/wabus")

    assert ports.wanted(here, "rabbitmq", 5) == ports.wanted(here, "rabbitmq", 5)
    assert len(set(ports.wanted(here, "rabbitmq", 5))) == 5
    assert ports.wanted(here, "rabbitmq", 5) != ports.wanted(there, "rabbitmq", 5)
    assert ports.wanted(here, "redis", 1) != ports.wanted(here, "postgres", 1)


def test_ports_that_it_had_before_are_wanted_again() -> None:
    assert ports.wanted(Path("/wabus"), "redis", 1, (20_001,)) == (20_001,)
    assert len(ports.wanted(Path("/wabus"), "redis", 1, (1, 2, 3))) == 1


def test_only_a_port_that_is_taken_is_replaced_and_that_is_said() -> None:
    free, other = ports.choose(2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        chosen = ports.choose(3, (free, taken, other))

    assert (chosen[0], chosen[2]) == (free, other)
    assert chosen[1] not in (free, taken, other)
    assert ports.describe_moves("scheduler", (free, taken), chosen[:2]) == [
        f"scheduler: port {taken} is taken, it has {chosen[1]} now"
    ]


def test_the_programs_of_a_demo_have_the_same_ports_each_time(tmp_path: Path) -> None:
    first, second = (
        [(program.name, program.env["METRICS_PORT"], program.argv) for program in programs]
        for programs in (make_programs(URLS, {}, tmp_path, seed=0) for _ in range(2))
    )
    wanted = wanted_ports(tmp_path)

    assert first == second
    assert {name: port for name, port, _ in first if port != "0"} == {
        name: str(port) for name, port in wanted.items() if name != "sandbox"
    }
    assert str(wanted["sandbox"]) in first[0][2]
