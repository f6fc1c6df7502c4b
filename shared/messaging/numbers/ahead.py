"""How much of a business number may wait for the sender: a stop finds little on its way. Pure."""

from math import floor

from shared.durations import Durations


def allowance(mps: float, queued: int, durations: Durations) -> int:
    """How many more messages of a number may be queued ahead of the sender; at least one at a time."""
    most = max(1, floor(durations.campaign_horizon_s * durations.number_rate_share * mps))
    return max(0, most - queued)
