"""RabbitMQ from the machine's own binaries, with paths, ports, cookie and `epmd` of its own.

The broker's script starts an `epmd` when none answers, and leaves it behind. So an own one runs on a private
port first, in the foreground and recorded like every process of the stack. Management and Prometheus plugins
are enabled through the plugins file, before the broker has ever run.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from deploy.stack.machine import Machine
from deploy.stack.plan import Plan
from deploy.stack.processes import Command

PROGRAMS = ("rabbitmq-server", "epmd")
#: AMQP, management, Prometheus, Erlang distribution, epmd.
PORTS = 5
#: The place of the distribution's among them.
DISTRIBUTION = 3

_USER = "wabus"
NODE = "wabus@localhost"


def prepare(home: Path, ports: Sequence[int], password: str, machine: Machine) -> Plan:
    """Write configuration, plugins and cookie below `home` and say what to run. Repeatable."""
    amqp, management, prometheus, distribution, epmd = ports
    _write(home / "rabbitmq.conf", _configuration(amqp, management, prometheus, password))
    _write(home / "enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")
    _write(home / ".erlang.cookie", password)
    (home / ".erlang.cookie").chmod(0o400)
    environment = {
        **machine.server_environment(home),
        "RABBITMQ_NODENAME": NODE,
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_PORT": str(epmd),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        **_paths(home),
        "RABBITMQ_DIST_PORT": str(distribution),
    }
    log = home / "rabbitmq.log"
    name_server = [str(machine.require("epmd")), "-port", str(epmd), "-address", "127.0.0.1"]
    broker = [str(machine.require("rabbitmq-server"))]
    return Plan(
        commands=[
            Command(name_server, environment, cwd=home, log=home / "epmd.log"),
            Command(broker, environment, cwd=home, log=log),
        ],
        url=f"amqp://{_USER}:{password}@127.0.0.1:{amqp}/",
        management_url=f"http://{_USER}:{password}@127.0.0.1:{management}",
        metrics=f"127.0.0.1:{prometheus}",
        log=log,
        data=home,
    )


def _configuration(amqp: int, management: int, prometheus: int, password: str) -> str:
    return f"""\
listeners.tcp.local = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = {prometheus}
default_user = {_USER}
default_pass = {password}
log.console = true
log.console.level = info
log.file = false
"""


def _paths(home: Path) -> dict[str, str]:
    return {
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONFIG_FILES": str(home / "conf.d"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_PID_FILE": str(home / "rabbitmq.pid"),
        # the script then becomes the broker, so that the recorded pid is the broker's
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput -kernel inet_dist_use_interface {127,0,0,1}",
    }


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o600)
