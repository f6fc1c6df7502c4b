"""The nudge: look whether a campaign is due. It orders nothing: lost or repeated, nothing goes wrong."""

from typing import Final
from uuid import uuid4

from shared.amqp.delivery import Publication
from shared.amqp.topology import BROADCAST
from shared.payloads import Payload, encode
from shared.payloads.fields import Identifier

#: Routing key on `wa.broadcast`; internal, beside the keys that applications use.
BATCH_KEY: Final = "campaign.batch"


class CampaignNudge(Payload):
    """Look whether this campaign's next batch is due."""

    campaign_id: Identifier


def nudge(campaign_id: str) -> Publication:
    """What the scheduler publishes for a due campaign."""
    return Publication(
        exchange=BROADCAST,
        routing_key=BATCH_KEY,
        body=encode(CampaignNudge(campaign_id=campaign_id)),
        type=CampaignNudge.__name__,
        idempotency_key=str(uuid4()),
        correlation_id=uuid4().hex,
        mandatory=True,
    )
