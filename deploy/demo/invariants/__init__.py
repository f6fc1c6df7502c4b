"""The invariants: promises of the whole system, each a pure function from evidence to a verdict.

Owns what is promised and how a breach is told. Reads nothing: see `evidence` for what a caller brings.
"""

from collections.abc import Callable
from typing import Final

from deploy.demo.invariants import cluster, inbound, outbound
from deploy.demo.invariants.evidence import Evidence
from deploy.demo.invariants.verdict import Verdict

Invariant = Callable[[Evidence], Verdict]

#: In the order in which people read them: from a message's arrival to what is left behind.
INVARIANTS: Final[tuple[Invariant, ...]] = (
    inbound.tracked_once,
    inbound.published,
    inbound.one_key_each,
    inbound.same_each_time,
    inbound.in_order,
    inbound.one_active_mapping,
    inbound.one_customer,
    inbound.theirs,
    inbound.correlated,
    outbound.replies_once,
    outbound.nothing_unasked,
    outbound.told_once,
    outbound.recipients_once,
    outbound.opted_out_spared,
    outbound.wrong_values_fail_alone,
    outbound.highest_status,
    outbound.nothing_queued,
    cluster.poison_is_dead,
    cluster.nothing_else_died,
    cluster.agents_told,
    cluster.all_marked,
    cluster.queues_empty,
    cluster.nothing_waits,
    cluster.drained,
)

__all__ = ["INVARIANTS", "Evidence", "Invariant", "Verdict"]
