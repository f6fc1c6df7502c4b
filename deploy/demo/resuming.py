"""The operator of the day: sets paused numbers going again, by a person's command, and tries them."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import asyncpg

from deploy.demo.invariants.evidence import ReplySent
from deploy.demo.progress import Progress
from deploy.demo.reading import QUERIES
from deploy.demo.record import Record, now_s
from deploy.demo.wire import Publishing
from shared.amqp.topology import OUTBOUND
from shared.errors import StackError

#: How often somebody looks, and how long the platform takes to unlock an account.
_LOOK_S: Final = 0.5
_UNLOCKED_AFTER_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Operator:
    """`test_recipient`: a customer to whom a message is sent from each number that was resumed.

    Without it nothing would tell that a number sends again, and whose message it is that has it paused.
    """

    database_url: str
    wire: Publishing
    record: Record
    progress: Progress
    test_recipient: str

    async def run(self) -> None:
        """Look for paused numbers until cancelled."""
        database = await asyncpg.connect(self.database_url)
        try:
            while True:
                await asyncio.sleep(_LOOK_S)
                for row in await database.fetch(QUERIES["paused"]):
                    self.progress.say(f"number {row['phone_number_id']} is paused: {row['reason']}")
                    await asyncio.sleep(_UNLOCKED_AFTER_S)
                    await self._resume(row["phone_number_id"])
        finally:
            await database.close()

    async def _resume(self, number: str) -> None:
        self.progress.say(await _run("number", "resume", number, env={"DATABASE_URL": self.database_url}))
        self.record.resumed[number] += 1
        test = {
            "wa_id": self.test_recipient,
            "phone_number_id": number,
            "genesys_message_id": str(uuid4()),
            "message_text": "We are back.",
        }
        self.record.replies[test["genesys_message_id"]] = ReplySent(test["genesys_message_id"], now_s())
        await self.wire.publish(OUTBOUND, f"reply.{self.test_recipient}", test)


async def _run(*command: str, env: Mapping[str, str]) -> str:
    """What a command of ours prints. Raises StackError where it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", *command, env=env, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace").strip()
    if process.returncode:
        raise StackError(f"wabus {' '.join(command)} failed: {text}")
    return text
