"""A queue that stands still: what it tries, gives back and keeps (rules 2.8 to 2.10)."""

from typing import Final

from tests.mutants.mutation import Mutation

_STANDING: Final = "shared/consuming/standing.py"
_STANDING_TESTS: Final = "tests/unit/test_standing.py"
_REPLICAS: Final = "tests/integration/consuming/test_replicas.py"

MUTATIONS: Final = (
    Mutation(
        "a consumer counts as gone before the broker has said so",
        "shared/amqp/kept/inlet.py",
        "return not (self._is_wanted_now or self._cancelling or self._consumer_tag)",
        "return not (self._is_wanted_now or self._consumer_tag)",
        "2.8 a replica that cannot work leaves all to another",
        ("tests/integration/amqp/test_delivering.py",),
    ),
    Mutation(
        "what is given back while the broker delivers comes back and stays",
        _STANDING,
        "if self._let_go or not self.is_overdue or not self._inlet.is_quiet:",
        "if self._let_go or not self.is_overdue:",
        "2.8 a replica that cannot work leaves all to another",
        (f"{_STANDING_TESTS}::test_nothing_is_let_go_before_the_broker_has_stopped_delivering",),
    ),
    Mutation(
        "a queue moves again though a reason is left",
        _STANDING,
        "not failed and not self._away and not self._reasons:",
        "not failed and not self._away:",
        "2.10 a publication refused for longer than 10 s",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "a server is believed though it is away",
        _STANDING,
        "not failed and not self._away and not self._reasons:",
        "not failed and not self._reasons:",
        "2.9 the consumer is cancelled until it is back",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "a brake is tried without a pause",
        _STANDING,
        "self._next_try = self._clock() + self._brake_probe_s",
        "self._next_try = self._clock()",
        "2.8 it tries one delivery every 30 s",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "more than one is tried",
        _STANDING,
        "not self._away and not self._at_work and self._clock()",
        "not self._away and self._clock()",
        "2.8 it tries one delivery",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "what was not begun is given back again and again",
        _STANDING,
        "        self._let_go = True\n",
        "",
        "2.9 it is given back once an outage",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "what was not begun is kept",
        _STANDING,
        "if self._let_go or not self.is_overdue or not self._inlet.is_quiet:",
        "if True:",
        "2.10 a replica that stops working gives back what it has not begun",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "what the work must publish may be refused for ever",
        _STANDING,
        "elif self._clock() - since >= self._give_back_s:",
        "elif self._clock() - since < 0:",
        "2.10 a publication refused for longer than 10 s",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "who stood behind one that is put back overtakes it",
        _STANDING,
        "        self._epoch += 1\n",
        "",
        "2.2 contention never reorders",
        (_STANDING_TESTS,),
    ),
    Mutation(
        "a queue that stands still keeps what it has in hand",
        "shared/consuming/standing.py",
        "        self._let_go = True\n        return self.let_go_all()\n",
        "        self._let_go = True\n        return []\n",
        "2.10 a replica that stops working gives back what it has not begun",
        (
            f"{_REPLICAS}::test_a_resolver_without_its_database_leaves_all_to_another",
            f"{_REPLICAS}::test_an_updater_without_its_database_hands_over_the_proofs_it_holds",
        ),
    ),
    Mutation(
        "what is given back often is left to RabbitMQ's limit",
        "shared/consuming/settlement.py",
        "limit = self._durations.delivery_limit // 2",
        "limit = 2 * self._durations.delivery_limit",
        "2.9 nothing dead-lettered, no attempt counted",
        (
            f"{_REPLICAS}::test_a_full_queue_of_enriched_messages_kills_none_however_long_it_lasts",
            f"{_REPLICAS}::test_a_resolver_that_cannot_store_kills_none_however_long_it_lasts",
        ),
    ),
)
