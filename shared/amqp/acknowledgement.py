"""Which acknowledgements answer for what is done: one for many where nothing below is still in hand. Pure."""

from collections.abc import Iterable


def plan_acknowledgement(outstanding: Iterable[int], done: set[int]) -> tuple[int | None, list[int]]:
    """Return (tag to acknowledge with everything below it, tags to acknowledge alone).

    `outstanding` rises. A multiple ack covers only deliveries that are all done.
    """
    upto: int | None = None
    for tag in outstanding:
        if tag not in done:
            break
        upto = tag
    return upto, sorted(tag for tag in done if upto is None or tag > upto)
