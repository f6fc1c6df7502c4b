"""A stand-in for the `docker` command line that runs Redis only, as a process of this machine.

It is what proves that containers are started, found again and removed where no engine exists. Written to a
directory as an executable `docker`; containers are pid files beside it.
"""

import sys
from pathlib import Path

_PROGRAM = r"""#!{python}
import os, pathlib, signal, subprocess, sys

here = pathlib.Path(__file__).parent
words = sys.argv[1:]
containers = here / "containers"
containers.mkdir(exist_ok=True)

def pid_and_port(name):
    return (containers / name).read_text().split()

match words:
    case ["version", *_]:
        print("99.0")
    case ["run", "--detach", "--publish", published, "redis:7.4", *arguments] if published.endswith(":6379"):
        _, port, _ = published.split(":")
        quiet = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        command = ["redis-server", "--port", port, "--bind", "127.0.0.1", *arguments]
        pid = subprocess.Popen(command, start_new_session=True, cwd=here, **quiet).pid
        (containers / "c0ffee").write_text(f"{{pid}} {{port}}")
        print("c0ffee")
    case ["inspect", "--format", _, name]:
        print("true")
    case ["rm", "--force", "--volumes", name]:
        if not (containers / name).exists():
            sys.exit("Error: No such container: " + name)
        pid = int(pid_and_port(name)[0])
        os.kill(pid, signal.SIGKILL)
        (containers / name).unlink()
    case _:
        sys.exit("unexpected: " + " ".join(words))
"""


def install(directory: Path) -> Path:
    """Write the program into `directory`; returns the directory that holds the running containers' files."""
    program = directory / "docker"
    program.write_text(_PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    return directory / "containers"
