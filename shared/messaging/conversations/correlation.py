"""Which conversation id stands after a correlation. Pure.

Owns the rule: through the tracked message, a later one replaces, an earlier one contradicts.
"""

from dataclasses import dataclass
from enum import Enum


class Correlation(Enum):
    """What a correlation does to its mapping."""

    SET = "set"
    SAME = "same"
    KNOWN = "known"
    REPLACE = "replace"
    #: Of a conversation that was joined with this one before its name came: it leads here from now on.
    ALIAS = "alias"
    CONTRADICTION = "contradiction"


@dataclass(frozen=True, slots=True)
class CurrentConversation:
    """The conversation a mapping has, and the order number of the message that brought it."""

    conversation_id: str | None
    seq: int | None


def decide_correlation(
    standing: CurrentConversation, conversation_id: str, message_seq: int, *, is_alias: bool, has_joined: bool
) -> Correlation:
    """Decide by the order in which the messages were tracked, not by the order of correlations.

    An earlier conversation of the mapping (`is_alias`), again with an earlier message, is a repetition. Where
    another mapping was joined with this one (`has_joined`), an earlier message may have brought its own.
    """
    if standing.conversation_id is None:
        return Correlation.SET
    if standing.conversation_id == conversation_id:
        return Correlation.SAME
    if standing.seq is None or message_seq > standing.seq:
        return Correlation.REPLACE
    if is_alias:
        return Correlation.KNOWN
    return Correlation.ALIAS if has_joined else Correlation.CONTRADICTION
