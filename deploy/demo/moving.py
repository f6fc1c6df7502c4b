"""The platform, asked to let a customer change number: it tells the cluster by itself."""

from dataclasses import dataclass

import aiohttp


@dataclass(frozen=True, slots=True)
class PlatformOfCustomers:
    """The sandbox's own side (`/_sandbox`)."""

    sandbox_url: str

    async def change_number(self, old: str, new: str, phone_number_id: str) -> str:
        """The customer of `old` has `new` from now on; returns the wamid under which the number is told."""
        asked = {"from": old, "to": new, "phone_number_id": phone_number_id}
        url = f"{self.sandbox_url}/_sandbox/customers/change"
        async with aiohttp.ClientSession() as client, client.post(url, json=asked) as answer:
            answer.raise_for_status()
            return str((await answer.json())["message"]["id"])
