"""Automatic messages: when, how often, to whom never (COMMERCE B3.5, B5)."""

from typing import Final

from tests.mutants.mutation import Mutation

_RULES: Final = "shared/commerce/notices/rules.py"
_DECISIONS: Final = ("tests/unit/test_notice_rules.py",)
_HOURS: Final = ("tests/unit/test_quiet_hours.py",)
_STEPS: Final = "shared/commerce/carts/steps.py"
_CARTS: Final = ("tests/unit/test_cart_steps.py",)
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
    Mutation(
        "a reminder follows the one before at once",
        _STEPS,
        "    if spaced_at > cart.now:\n",
        "    if spaced_at > following:\n",
        "COMMERCE B3.3 six hours after the one before",
        _CARTS,
    ),
    Mutation(
        "after an outage each reminder is sent",
        "shared/commerce/notices/reminders.py",
        "skip_reason=None if number == step.reminder else _OVERTAKEN",
        "skip_reason=None",
        "COMMERCE B3.3 lower ones are overtaken",
        _CARTS,
    ),
    Mutation(
        "a cart of nobody is reminded of",
        _STEPS,
        "    if due == 0 or not cart.may_be_reminded_of:\n",
        "    if due == 0:\n",
        "COMMERCE B3.3 with items and customer",
        _CARTS,
    ),
    Mutation(
        "reminders of what was bought stay",
        "shared/commerce/carts/rules.py",
        "        if was.is_open and not cart.is_open:\n",
        "        if not was.is_open and cart.is_open:\n",
        "COMMERCE B3.5 a purchase takes waiting notices back",
        ("tests/e2e/test_cart_recovery.py",),
    ),
    Mutation(
        "all that is due is queued at once",
        "shared/commerce/notices/pace.py",
        "        if self.room > 0:\n",
        "        if self.room > -1_000_000:\n",
        "COMMERCE B5.7 never more than ten seconds of the rate",
        ("tests/integration/commerce/test_notice_claims.py",),
    ),
    Mutation(
        "caps are counted beside each other",
        "shared/commerce/notices/claiming.py",
        "            await hold_profiles(connection, {item.customer for item in leased})\n",
        "",
        "COMMERCE B5.6 twenty notifiers reserve exactly the cap",
        ("tests/integration/commerce/test_notice_claims.py",),
    ),
)
