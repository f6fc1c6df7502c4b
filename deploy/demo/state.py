"""What a running demo writes down: which processes are its own, so that another program can end them.

Owns `.stack/demo.json` and `.stack/demo.env`. A demo that was killed leaves them behind, and
`wabus demo --down` cleans up after it.
"""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.stack.processes import ProcessRef, identify, is_alive
from deploy.stack.records import STACK_DIR

_FILE: Final = "demo.json"


@dataclass(frozen=True, slots=True)
class DemoState:
    """`keeper`: the process that restarts the others. `urls`: where each program answers, once all do."""

    keeper: ProcessRef
    programs: Mapping[str, ProcessRef]
    urls: Mapping[str, str]

    @property
    def is_kept(self) -> bool:
        """Whether the process that restarts the others lives."""
        return is_alive(self.keeper)


def logs_of(root: Path) -> Path:
    """Where the programs of a demo write their logs."""
    return root / STACK_DIR / "logs"


def env_of(root: Path) -> Path:
    """Where the servers' URLs are."""
    return root / STACK_DIR / "env"


def settings_of(root: Path) -> Path:
    """Where the other settings of the running programs are, for more programs beside them."""
    return root / STACK_DIR / "demo.env"


def write_settings(root: Path, env: Mapping[str, str]) -> None:
    """Write down the settings of the Cloud API, a token among them, and free ports for metrics."""
    path = settings_of(root)
    path.touch(mode=0o600)
    names = [name for name in env if name.startswith("WHATSAPP_") or name == "METRICS_PORT"]
    path.write_text("".join(f"{name}={shlex.quote(env[name])}\n" for name in names))


def write_state(root: Path, programs: Mapping[str, ProcessRef], urls: Mapping[str, str]) -> None:
    """Write down the processes of the demo that this process keeps."""
    me = identify(os.getpid())
    assert me is not None
    document = {
        "keeper": [me.pid, me.started],
        "programs": {name: [ref.pid, ref.started] for name, ref in programs.items()},
        "urls": dict(urls),
    }
    path = root / STACK_DIR / _FILE
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(document, indent=1))
    draft.replace(path)


def read_state(root: Path) -> DemoState | None:
    """What was written last; None where there is nothing, or nothing to be read."""
    try:
        document = json.loads((root / STACK_DIR / _FILE).read_text())
        programs = {name: _ref(ref) for name, ref in document["programs"].items()}
        return DemoState(_ref(document["keeper"]), programs, dict(document["urls"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ref(pair: Any) -> ProcessRef:
    pid, started = pair
    return ProcessRef(int(pid), str(started))
