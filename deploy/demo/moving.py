"""The platform, asked to let a customer change number: it tells the cluster by itself."""

from dataclasses import dataclass

import aiohttp

from deploy.demo.judging import WITNESS_ENDED, NotJudgedError


@dataclass(frozen=True, slots=True)
class PlatformOfCustomers:
    """The sandbox's own side (`/_sandbox`)."""

    sandbox_url: str

    async def change_number(self, old: str, new: str, phone_number_id: str) -> str:
        """The customer of `old` has `new` from now on; returns the wamid under which the number is told.

        Raises NotJudgedError where the sandbox is gone.
        """
        asked = {"from": old, "to": new, "phone_number_id": phone_number_id}
        url = f"{self.sandbox_url}/_sandbox/customers/change"
        try:
            async with aiohttp.ClientSession() as client, client.post(url, json=asked) as answer:
                answer.raise_for_status()
                return str((await answer.json())["message"]["id"])
        except aiohttp.ClientConnectionError as error:
            raise NotJudgedError(WITNESS_ENDED) from error
