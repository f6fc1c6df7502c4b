"""What a condition sees while it is evaluated: the calls it makes, with what they got and gave.

Owns reading that off the interpreter, so that no condition need say it by itself. Only what our tests call is
told, not what happens below; what other tasks do meanwhile is none of it.
"""

import asyncio
import inspect
import linecache
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

_TESTS: Final = str(Path(__file__).resolve().parents[1])
#: What waits and watches, which is not what is watched.
_HARNESS: Final = tuple(str(Path(__file__).with_name(name)) for name in ("waiting.py", "witness.py"))
_SHOWN: Final = 300
_PLAIN: Final = (bool, int, float, str, bytes, list, tuple, dict, set, type(None))


def describe(condition: Callable[[], object]) -> str:
    """The condition as it is written, on one line."""
    code = getattr(condition, "__code__", None)
    if code is None or code.co_name != "<lambda>":
        return _cut(repr(condition) if code is None else f"{code.co_qualname}()")
    return _source(code) or code.co_qualname


@contextmanager
def witness(condition: Callable[[], object]) -> Iterator[dict[str, None]]:
    """Lines about each call that `condition` makes within the block, in order, each once."""
    seen: dict[str, None] = {}
    task = asyncio.current_task()

    def note(frame: FrameType, event: str, given: Any) -> None:
        if event != "return" or inspect.isawaitable(given) or asyncio.current_task() is not task:
            return
        caller = frame.f_back
        if _is_ours(frame) or (caller is not None and _is_ours(caller)):
            seen[f"{_call(frame)} gave {_cut(repr(given))}"] = None

    earlier = sys.getprofile()
    sys.setprofile(note)
    try:
        yield seen
    finally:
        sys.setprofile(earlier)


def _is_ours(frame: FrameType) -> bool:
    code = frame.f_code
    return code.co_filename.startswith(_TESTS) and not code.co_filename.startswith(_HARNESS)


def _call(frame: FrameType) -> str:
    """Its name and the plain values that it held at its end."""
    held = {name: value for name, value in frame.f_locals.items() if type(value) in _PLAIN}
    shown = ", ".join(f"{name}={_cut(repr(value))}" for name, value in held.items())
    return f"{frame.f_code.co_name}({shown})"


def _source(code: CodeType) -> str:
    places = [place for place in code.co_positions() if None not in place and place[2:] != (0, 0)]
    if not places:
        return ""
    first = min((line, column) for line, _, column, _ in places)
    last = max((line, column) for _, line, _, column in places)
    lines = [linecache.getline(code.co_filename, number) for number in range(first[0], last[0] + 1)]  # type: ignore[arg-type, operator]
    lines[-1] = lines[-1][: last[1]]
    lines[0] = lines[0][first[1] :]
    return " ".join(" ".join(lines).split())


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"
