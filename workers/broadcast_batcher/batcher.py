"""The broadcast batcher: what a message about a campaign asks for.

Owns the queue `broadcast-batcher` and which of its routing keys is whose. The work is the launcher's, the
controller's and the batches'.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Final

from shared.amqp.delivery import Delivery
from shared.amqp.disposition import Ack, Dead, Disposition
from shared.consuming.handling import Handler
from shared.consuming.settlement import Settled
from shared.messaging.campaigns import BATCH_KEY, CampaignNudge
from shared.payloads import BroadcastCampaign, CampaignControl, InvalidPayload, decode, read
from shared.reasons import DeadReason
from workers.broadcast_batcher.batches import Batches
from workers.broadcast_batcher.controller import Controller
from workers.broadcast_batcher.launcher import Launcher

LAUNCH_KEY: Final = "campaign.launch"
_CONTROL_KEYS: Final = {f"campaign.{action}": action for action in ("pause", "resume", "cancel")}


class BroadcastBatcher(Handler):
    """Handles launches and controls in their order, then the nudges that are left, each campaign once."""

    def __init__(self, launcher: Launcher, controller: Controller, batches: Batches) -> None:
        self._launcher = launcher
        self._controller = controller
        self._batches = batches

    async def handle(self, batch: Sequence[Delivery]) -> AsyncIterator[Sequence[Settled]]:
        """Handle a batch; see `shared.consuming.consumer.Handler`."""
        nudged: dict[str, list[Delivery]] = {}
        for delivery in batch:
            try:
                if delivery.origin_routing_key == BATCH_KEY:
                    campaign_id = decode(CampaignNudge, delivery.body).campaign_id
                    nudged.setdefault(campaign_id, []).append(delivery)
                else:
                    yield [(delivery, await self._handle_one(delivery))]
            except InvalidPayload as error:
                yield [(delivery, Dead(DeadReason.INVALID_PAYLOAD, str(error)))]
        for campaign_id, deliveries in nudged.items():
            await self._batches.make_next(campaign_id)
            yield [(delivery, Ack()) for delivery in deliveries]

    async def _handle_one(self, delivery: Delivery) -> Disposition:
        key = delivery.origin_routing_key
        if key == LAUNCH_KEY:
            return await self._launcher.launch(delivery, read(BroadcastCampaign, delivery.body))
        action = _CONTROL_KEYS.get(key)
        if action is None:
            raise InvalidPayload(f"routing key: not {LAUNCH_KEY} or {', '.join(_CONTROL_KEYS)}")
        control = decode(CampaignControl, delivery.body)
        if control.action != action:
            raise InvalidPayload(f"action: {control.action}, but the routing key says {action}")
        return await self._controller.control(delivery, control)
