"""Automatic messages: when, how often, to whom never (COMMERCE B3.5, B5)."""

from typing import Final

from tests.mutants.mutation import Mutation

_RULES: Final = "shared/commerce/notices/rules.py"
_DECISIONS: Final = ("tests/unit/test_notice_rules.py",)
_HOURS: Final = ("tests/unit/test_quiet_hours.py",)
_GATE: Final = "workers/outbound_sender/claiming/gate.py"
MUTATIONS: Final = (
    Mutation(
        "a notice of a cart that is stopped goes",
        _RULES,
        "    if facts.stopped is not None:\n",
        "    if facts.stopped == 'never':\n",
        "COMMERCE B5.3 its subject stopped",
        _DECISIONS,
    ),
    Mutation(
        "who was never asked gets marketing",
        _RULES,
        'facts.opted_in is None and policy.consent == "required"',
        'facts.opted_in is None and policy.consent == "never"',
        "COMMERCE B4.5 automatic marketing needs a yes",
        _DECISIONS,
    ),
    Mutation(
        "clocks that change are not looked at",
        "shared/commerce/notices/hours.py",
        "    yield from _changes(at, last, zone)\n",
        "    yield from ()\n",
        "COMMERCE B5.4 an end inside a gap",
        _HOURS,
    ),
    Mutation(
        "a notice that was taken back is sent",
        _GATE,
        '    if gate.notice == "skipped" or',
        '    if gate.notice == "never" or',
        "COMMERCE B3.5 the sender's gate looks once more",
        ("tests/unit/test_sender_gate.py",),
    ),
    Mutation(
        "a repeated order fact plans again",
        "shared/commerce/notices/orders.py",
        "_causes(after) - told if",
        "_causes(after) if",
        "COMMERCE B6.1 once per order, type and detail",
        ("tests/unit/test_order_notices.py",),
    ),
)
