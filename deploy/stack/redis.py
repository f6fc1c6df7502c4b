"""Redis from the machine's own binary: loopback only, a password, no persistence (nothing rests on it)."""

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.machine import Machine
from deploy.stack.plan import Plan
from deploy.stack.processes import Command

PROGRAMS = ("redis-server",)
PORTS = 1


def prepare(home: Path, ports: Sequence[int], password: str, machine: Machine) -> Plan:
    """Write the configuration below `home` and say what to run. Repeatable."""
    config = home / "redis.conf"
    config.write_text(
        f"bind 127.0.0.1\nport {ports[0]}\nrequirepass {password}\n"
        f'dir "{home}"\ndaemonize no\nsave ""\nappendonly no\n'
    )
    os.chmod(config, 0o600)
    log = home / "redis.log"
    argv = [str(machine.require("redis-server")), str(config)]
    return Plan(
        commands=[Command(argv, machine.server_environment(home), cwd=home, log=log)],
        url=f"redis://:{password}@127.0.0.1:{ports[0]}/0",
        log=log,
        data=home,
    )
