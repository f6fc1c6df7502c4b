"""This machine: where its server programs are, who we are on it, and whether packages may be installed.

Owns the search for binaries. Installing is `packages`; what a server needs is said by the server's module.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.stack.packages import PackageManager, find_package_manager
from shared.errors import StackError

#: Where distributions keep programs that are not on everybody's PATH (or only as a wrapper for one user).
SYSTEM_DIRECTORIES = (
    "/usr/lib/rabbitmq/bin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
    "/usr/lib/erlang/erts-*/bin",
    "/usr/lib64/erlang/erts-*/bin",
    "/opt/homebrew/lib/erlang/erts-*/bin",
    "/usr/lib/postgresql/*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/bin",
)


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine as the stack sees it. `directories` (globs) are searched before `path`."""

    path: str = field(default_factory=lambda: os.environ.get("PATH", os.defpath))
    directories: Sequence[str] = SYSTEM_DIRECTORIES
    package_manager: PackageManager | None = field(default_factory=find_package_manager)
    user_id: int = field(default_factory=os.getuid)

    def find(self, program: str) -> Path | None:
        """The newest installed program of that name, or None."""
        for pattern in self.directories:
            found = sorted(Path("/").glob(f"{pattern.lstrip('/')}/{program}"), key=_version, reverse=True)
            if found:
                return found[0]
        on_path = shutil.which(program, path=self.path)
        return Path(on_path) if on_path else None

    def require(self, program: str) -> Path:
        """The program; StackError when it is not installed."""
        found = self.find(program)
        if found is None:
            raise StackError(f"{program} is not installed")
        return found

    def provide(self, missing: Sequence[str], progress: Callable[[str], None], log: Path) -> None:
        """Install what `missing` servers or programs need, or say exactly what to install.

        Raises StackError when packages may not be installed here, or when installing them fails.
        """
        manager = self.package_manager
        if manager is None:
            raise StackError(
                f"no binaries of {', '.join(missing)} on this machine and no way to install them; install "
                "rabbitmq-server (3.10 or newer), postgresql (15 or newer) and redis-server, start a Docker "
                "engine, or set RABBITMQ_URL, DATABASE_URL and REDIS_URL"
            )
        packages = manager.packages_for(missing)
        if not manager.may_install:
            raise StackError(
                f"no binaries of {', '.join(missing)} on this machine, and only root may install them; run: "
                f"sudo {manager.command_line(packages)}"
            )
        progress(f"installing {' '.join(packages)} with {manager.name} (system services stay off)")
        manager.install(packages, log)

    def server_environment(self, home: Path) -> Mapping[str, str]:
        """A clean environment for a server: nothing of the caller's settings reaches it."""
        return {"PATH": self.path, "HOME": str(home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def _version(program: Path) -> tuple[int, ...]:
    digits = "".join(letter if letter.isdigit() else " " for letter in str(program.parent))
    return tuple(int(number) for number in digits.split())
