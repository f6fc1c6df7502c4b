"""Spans out of the process, by OpenTelemetry's SDK, to where OTEL_EXPORTER_OTLP_ENDPOINT says.

Owns how they are batched, sent by a thread beside all work, and that a collector which is away delays and
fails nothing: what it does not take in time is lost, and told in one line. Imports OpenTelemetry's SDK only
where a collector is named.
"""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from shared.errors import SettingsError
from shared.observability import spans
from shared.settings.settings import Settings

if TYPE_CHECKING:
    from shared.observability.otlp import SpanPipe

#: A stop waits so long for the last spans to be taken.
_LAST_S: Final = 1.0


@asynccontextmanager
async def exporting_spans(settings: Settings, program: str) -> AsyncIterator[None]:
    """Record and export spans until the block ends, if the settings name a collector.

    `program`: whose they are. Ends within about a second, whether or not the last ones were taken. Raises
    SettingsError where OpenTelemetry refuses one of its other variables.
    """
    if settings.traces_endpoint is None:
        yield
        return
    from shared.observability.otlp import SpanPipe

    try:
        pipe = SpanPipe(settings, program)
    except ValueError as error:
        raise SettingsError(f"OpenTelemetry refuses its variables (OTEL_…): {error}") from error
    put_back = spans.put_in_place(spans.Recording(pipe.start))
    try:
        yield
    finally:
        put_back()
        await _close(pipe)


async def _close(pipe: "SpanPipe") -> None:
    """In a thread that nobody waits for longer: no executor's, which would be waited for at the end."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()

    def close() -> None:
        pipe.close()
        with suppress(RuntimeError):  # the loop did not wait, and is closed
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=close, name="last spans", daemon=True).start()
    try:
        async with asyncio.timeout(_LAST_S):
            await closed.wait()
    except TimeoutError:
        pipe.give_up()
