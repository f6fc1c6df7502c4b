"""Installing packages with the system's package manager: of servers, and of programs that tests check with.

Owns the package names, the privilege (root or password-less sudo) and that no system service starts while
packages are set up. Which of them are missing is not decided here.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.stack.tail import last_lines
from shared.errors import StackError

_INSTALL_TIMEOUT_S = 900

#: Debian's packages start their services when installed, unless /usr/sbin/policy-rc.d forbids it. An earlier
#: policy is put back whatever happens. One installation at a time on the machine, hence the lock.
_APT = """
set -e
exec 9</var/lib/dpkg && flock 9
policy=/usr/sbin/policy-rc.d
saved=$policy.before-wabus
if [ ! -e "$saved" ] && [ -e "$policy" ] && ! grep -q 'of wabus' "$policy"; then cp -p "$policy" "$saved"; fi
restore() { if [ -e "$saved" ]; then mv -f "$saved" "$policy"; else rm -f "$policy"; fi; }
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\\n# of wabus\\nexit 101\\n' > "$policy"
chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"
"""


@dataclass(frozen=True, slots=True)
class PackageManager:
    """A way to install packages: the package of each server or program, and the script that installs "$@"."""

    name: str
    packages: Mapping[str, str]
    script: str
    needs_root: bool = True

    def packages_for(self, wanted: Sequence[str]) -> list[str]:
        """Packages of servers (rabbitmq, postgres, redis) and programs (promtool, ps, initdb), each once."""
        return list(dict.fromkeys(self.packages[name] for name in wanted))

    def command_line(self, packages: Sequence[str]) -> str:
        """The command a person would type."""
        return f"{self.name} install {' '.join(packages)}"

    @property
    def may_install(self) -> bool:
        """Whether this process may install packages without asking anybody for a password."""
        return not self.needs_root or os.geteuid() == 0 or _sudo_is_free()

    def install(self, packages: Sequence[str], log: Path) -> None:
        """Install packages, output to `log`. Raises StackError with the log's end when it fails."""
        privilege = ["sudo", "-n"] if self.needs_root and os.geteuid() != 0 else []
        try:
            with log.open("ab") as output:
                subprocess.run(
                    [*privilege, "/bin/sh", "-c", self.script, self.name, *packages],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=_INSTALL_TIMEOUT_S,
                    check=True,
                )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise StackError(
                f"installing {' '.join(packages)} failed; install them yourself: "
                f"{self.command_line(packages)}\n{last_lines(log)}"
            ) from error


APT = PackageManager(
    name="apt-get",
    packages={
        "rabbitmq": "rabbitmq-server",
        "postgres": "postgresql",
        "redis": "redis-server",
        "docker-compose": "docker-compose",
        "promtool": "prometheus",
        "ps": "procps",
        "initdb": "postgresql",
        "pgbouncer": "pgbouncer",
        "curl": "curl",
        "redis-server": "redis-server",
        "node": "nodejs",
        "npm": "npm",
    },
    script=_APT,
)
DNF = PackageManager(
    name="dnf",
    packages={
        "rabbitmq": "rabbitmq-server",
        "postgres": "postgresql-server",
        "redis": "redis",
        "docker-compose": "docker-compose",
        "promtool": "golang-github-prometheus",
        "ps": "procps-ng",
        "initdb": "postgresql-server",
        "pgbouncer": "pgbouncer",
        "curl": "curl",
        "redis-server": "redis",
        "node": "nodejs",
        "npm": "nodejs-npm",
    },
    script='exec dnf -q -y --setopt=install_weak_deps=False install "$@"',
)
BREW = PackageManager(
    name="brew",
    packages={
        "rabbitmq": "rabbitmq",
        "postgres": "postgresql@17",
        "redis": "redis",
        "docker-compose": "docker-compose",
        "promtool": "prometheus",
        "initdb": "postgresql@17",
        "pgbouncer": "pgbouncer",
        "curl": "curl",
        "redis-server": "redis",
        "node": "node",
        "npm": "node",
    },
    script='exec brew install --quiet "$@"',
    needs_root=False,
)


def find_package_manager() -> PackageManager | None:
    """The package manager of this machine, None where it is one we do not know."""
    return next((manager for manager in (APT, DNF, BREW) if shutil.which(manager.name)), None)


def _sudo_is_free() -> bool:
    if shutil.which("sudo") is None:
        return False
    asked = subprocess.run(["sudo", "-n", "true"], check=False, stdin=subprocess.DEVNULL, capture_output=True)
    return asked.returncode == 0
