"""Campaigns, as far as several programs have to do with them.

Owns: what operators do with a campaign (launch it from a file, request a control, see how it stands), what
one recipient is sent (or why nothing), the recipients' rows, the clock by which the scheduler drives
campaigns, and `campaign.updated`. Taking up launches and controls, and batches, are the broadcast-batcher's;
what the sender does with a campaign's message is the sender's. That an error of the platform pauses one is
decided in `shared.messaging.messages.scopes` and carried out in `shared.messaging.numbers.holds`.
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
