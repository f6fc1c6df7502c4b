"""The end of a server's log, for error messages."""

from pathlib import Path


def last_lines(log: Path, count: int = 15) -> str:
    """The last `count` lines of a text file, indented; empty when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in lines[-count:])
