"""What each server answered last: asked in the background, so that nobody who wants to know waits for it.

Owns when a server is asked, and which of its answers counts. What follows from the answers is decided in
`shared.observability.health`.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from shared.masking import mask_secrets
from shared.observability.errors import describe_error
from shared.observability.health import Check, Probe
from shared.tasks import end_tasks

#: How often each server is asked, whether or not anybody wants to know.
EVERY_S: Final = 2.0
#: Where a server is away, whoever wants to know waits so long for an answer of now.
FRESH_S: Final = 0.1
#: A check that has not answered by then has failed.
CHECK_TIMEOUT_S: Final = 3.0
#: After a good answer a bad one is asked again after this, and counts if it is still bad.
AGAIN_S: Final = 0.5


class HealthChecks:
    """The last answer of each probe. `run` must be running beside it, and ends what it began.

    Under load a check waits as work does: for a connection, for its server, for the event loop. So a late
    answer changes nothing, and one bad answer is no outage. A server that refuses is told as bad within
    EVERY_S + AGAIN_S, one that is silent within EVERY_S + AGAIN_S + 2 * CHECK_TIMEOUT_S. A good answer counts
    at once.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = probes
        self._answers = {probe.name: Check("error", error="not answered yet") for probe in probes}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask again and again, until cancelled."""
        try:
            while True:
                self._ask()
                await asyncio.sleep(EVERY_S)
        finally:
            await end_tasks(tuple(self._asking.values()))

    async def answers(self) -> Mapping[str, Check]:
        """By the probes' names: at once where all are well, else after FRESH_S at most, for one may be back.

        Many may call it at once: who is being asked is not asked again.
        """
        self._ask()
        if any(check.status == "error" for check in self._answers.values()):
            await asyncio.wait(self._asking.values(), timeout=FRESH_S)
        return dict(self._answers)

    def _ask(self) -> None:
        for probe in self.probes:
            asking = self._asking.get(probe.name)
            if asking is None or asking.done():
                self._asking[probe.name] = asyncio.create_task(
                    self._check(probe), name=f"health of {probe.name}"
                )

    async def _check(self, probe: Probe) -> None:
        check = await ask(probe)
        if check.status == "error" and self._answers[probe.name].status == "ok":
            await asyncio.sleep(AGAIN_S)
            check = await ask(probe)
        self._answers[probe.name] = check


async def ask(probe: Probe) -> Check:
    """Its answer, an error where there is none within CHECK_TIMEOUT_S. Raises nothing but CancelledError.

    A probe that hangs is cancelled and not waited for: ending may take a client longer than the check.
    """
    started = time.perf_counter()
    asking = asyncio.create_task(_ask_safely(probe), name=f"check {probe.name}")
    try:
        await asyncio.wait({asking}, timeout=CHECK_TIMEOUT_S)
    finally:
        asking.cancel()
    if asking.done() and not asking.cancelled():
        check = asking.result()
    else:
        check = Check("error", error=f"no answer within {CHECK_TIMEOUT_S:g} s")
    if check.latency_ms is not None:
        return check
    return replace(check, latency_ms=round((time.perf_counter() - started) * 1000, 3))


async def _ask_safely(probe: Probe) -> Check:
    try:
        return await probe.check()
    except Exception as error:
        return Check("error", error=mask_secrets(describe_error(error)))
