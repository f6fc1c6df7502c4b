"""Campaigns, as far as several workers have to do with them.

Owns: what one recipient is sent (or why nothing), the recipients' rows, the clock by which the scheduler
drives campaigns, and `campaign.updated`. Launching, controlling and batches are the broadcast-batcher's; what
the sender does with a campaign's message is the sender's.
"""

from shared.messaging.campaigns.clock import due_campaigns, finish_campaigns
from shared.messaging.campaigns.nudge import BATCH_KEY, CampaignNudge, nudge

__all__ = [
    "BATCH_KEY",
    "CampaignNudge",
    "due_campaigns",
    "finish_campaigns",
    "nudge",
]
