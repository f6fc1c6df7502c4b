"""Every mutation, by the part of the cluster whose promise it breaks."""

from typing import Final

from tests.mutants.catalogue import (
    attempts,
    blame,
    broker,
    campaigns,
    connecting,
    consuming,
    coordination,
    dead_letters,
    edges,
    holding,
    inbound,
    installation,
    locked_rows,
    measuring,
    persons,
    rows_aside,
    scheduling,
    sending,
    standing_still,
    statuses,
    telling,
    tracing,
)
from tests.mutants.mutation import Mutation

MUTATIONS: Final[tuple[Mutation, ...]] = (
    *broker.MUTATIONS,
    *consuming.MUTATIONS,
    *connecting.MUTATIONS,
    *inbound.MUTATIONS,
    *installation.MUTATIONS,
    *attempts.MUTATIONS,
    *sending.MUTATIONS,
    *telling.MUTATIONS,
    *holding.MUTATIONS,
    *locked_rows.MUTATIONS,
    *standing_still.MUTATIONS,
    *rows_aside.MUTATIONS,
    *blame.MUTATIONS,
    *statuses.MUTATIONS,
    *campaigns.MUTATIONS,
    *persons.MUTATIONS,
    *dead_letters.MUTATIONS,
    *scheduling.MUTATIONS,
    *coordination.MUTATIONS,
    *edges.MUTATIONS,
    *measuring.MUTATIONS,
    *tracing.MUTATIONS,
)
