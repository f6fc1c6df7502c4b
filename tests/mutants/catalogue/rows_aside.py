"""A row that cannot be worked keeps no other waiting (rules 2.5, 2.10)."""

from typing import Final

from tests.mutants.mutation import Mutation

_ASIDE: Final = "tests/integration/durable/test_rows_set_aside.py"
_POISON: Final = "tests/integration/scheduler/test_poisonous_rows.py"

MUTATIONS: Final = (
    Mutation(
        "a page fails because of one of its rows",
        "shared/durable/aside.py",
        "            if len(rows) == 1:\n",
        "            if len(rows) > 1:\n                raise\n            if len(rows) == 1:\n",
        "2.10 one unreadable row keeps nobody else waiting",
        (_ASIDE,),
    ),
    Mutation(
        "JSON that is nested too deep fails its whole page",
        "shared/postgres/database.py",
        "    except RecursionError:\n        return text\n",
        "    except RecursionError:\n        raise\n",
        "2.10 one unreadable row keeps nobody else waiting",
        (f"{_POISON}::test_a_dead_letter_that_cannot_go_back",),
    ),
    Mutation(
        "a message that cannot be removed keeps all others",
        "workers/scheduler/retention.py",
        'self._aside.work("retention", ids, str, partial(self._remove_by_id, old.prune))',
        "self._remove_by_id(old.prune, ids)",
        "2.10 one unreadable row keeps nobody else waiting",
        (f"{_POISON}::test_an_old_message_that_cannot_be_removed",),
    ),
    Mutation(
        "dead letters whose queue is gone keep others from going back",
        "shared/deadletters/replay.py",
        "> len(report.unpublishable) + len(report.refused):",
        "> len(report.unpublishable):",
        "2.4 one destination that refuses keeps back no other's",
        (f"{_POISON}::test_dead_letters_whose_queue_is_gone",),
    ),
    Mutation(
        "an installation's trouble sets rows aside",
        "shared/durable/aside.py",
        "        except (StoreUnavailable, BrokerUnavailable):\n",
        "        except BrokerUnavailable:\n",
        "2.5 a right that is missing is the installation's",
        (_ASIDE,),
    ),
    Mutation(
        "a page of nothing but culprits is set aside",
        "shared/durable/aside.py",
        "        if len(culprits) >= _MOST:\n            raise error\n",
        "",
        "2.5 only what is known to be a row's own fault is blamed",
        (_ASIDE,),
    ),
    Mutation(
        "what is set aside is never tried again",
        "shared/durable/aside.sql",
        "delete from rows_set_aside where since < now() - $1::interval",
        "delete from rows_set_aside where since < now() - 1000 * $1::interval",
        "8 each job is done to the end",
        (_ASIDE,),
    ),
)
