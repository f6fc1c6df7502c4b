"""A row that another session keeps locked, and who waits for it (rules 1.2, 2.4, 2.10)."""

from typing import Final

from tests.mutants.mutation import Mutation

_LINES: Final = "shared/consuming/lines.py"
_LOCKS: Final = "tests/integration/consuming/test_row_locks.py"
_LEFT: Final = "tests/integration/outbound_sender/test_left_behind.py"
_ADMISSION: Final = "workers/outbound_sender/intake/admission.py"

MUTATIONS: Final = (
    Mutation(
        "PostgreSQL away while a locked message is given up ends the worker",
        "shared/consuming/processing.py",
        "        await self._or_put_back(self._settle_all(pending, verdict), pending)\n",
        "        await self._settle_all(pending, verdict)\n",
        "2.5 while PostgreSQL is away the queue stands still",
        (
            "tests/integration/consuming/test_settlement.py"
            "::test_one_given_up_while_its_row_cannot_be_removed_ends_no_worker",
        ),
    ),
    Mutation(
        "who waits for a locked row keeps the intake from all others",
        "workers/outbound_sender/sender.py",
        "if len(batch) == 1 and self._line.has_left(batch[0]):",
        "if False:",
        "2.10 whose row is locked waits alone",
        (f"{_LOCKS}::test_replies_to_others_pass_a_customer_whose_tries_last_for_ever",),
    ),
    Mutation(
        "a locked row fails the whole intake",
        _ADMISSION,
        "        except StoreLocked:\n            locked = await",
        "        except ZeroDivisionError:\n            locked = await",
        "2.10 whose row is locked waits alone",
        (f"{_LEFT}::test_a_locked_row_leaves_only_its_customer_behind",),
    ),
    Mutation(
        "who comes later passes a message that waits for a locked row",
        _ADMISSION,
        "left = by_key.keys() & self.left.customers",
        "left = set[str]()",
        "2.4 a customer's messages are worked in order",
        (f"{_LEFT}::test_nobody_overtakes_a_message_that_was_left",),
    ),
    Mutation(
        "the intake waits for a customer whom another process has",
        _ADMISSION,
        "left |= held.taken",
        "left |= set[str]()",
        "2.10 nobody waits for another's customer",
        (f"{_LEFT}::test_a_customer_whom_another_process_has_is_left_at_once",),
    ),
    Mutation(
        "who is left keeps a hand",
        _ADMISSION,
        "hands.give_back(message)\n            raise",
        "pass\n            raise",
        "2.10 what is done makes room",
        (f"{_LEFT}::test_who_is_left_holds_no_hand",),
    ),
    Mutation(
        "what is locked again in its line goes to the end of it",
        "shared/consuming/processing.py",
        "if len(locked) == len(pending):",
        "if False:",
        "2.4 a customer's messages are worked in order",
        (f"{_LOCKS}::test_what_is_locked_again_in_its_line_stays_the_first_of_it",),
    ),
    Mutation(
        "followers of a locked one overtake it",
        _LINES,
        "(free if line is None else line).append(item)",
        "free.append(item)",
        "1.2 contention never reorders",
        (f"{_LOCKS}::test_one_customers_lock_keeps_only_that_customer",),
    ),
    Mutation(
        "a locked one keeps its whole batch",
        _LINES,
        "return item.tag if key is None else key",
        "return None",
        "2.10 one locked row keeps nobody else waiting",
        (f"{_LOCKS}::test_messages_of_a_batch_leave_the_locked_one_behind",),
    ),
    Mutation(
        "a locked one fails those whose rows are written with it",
        "shared/consuming/collector.py",
        "except (StoreDataError, StoreLocked) as error:",
        "except StoreDataError as error:",
        "2.10 one locked row keeps nobody else waiting",
        ("tests/unit/test_collector.py",),
    ),
    Mutation(
        "a stopping worker waits for a lock",
        _LINES,
        "            if await self._stops_within(pause_s):\n                return False\n",
        "            await self._stops_within(pause_s)\n",
        "2.3 requeueing is for shutting down",
        (f"{_LOCKS}::test_a_stopping_worker_gives_back_what_waits_for_a_lock",),
    ),
    Mutation(
        "a dead letter waits no longer for a locked row than another message",
        "workers/dlq_handler/worker.py",
        "gives_up=False",
        "gives_up=True",
        "7.1 every one is stored before it is acknowledged",
        (f"{_LOCKS}::test_dead_letters_of_other_messages_pass_a_locked_one_however_long",),
    ),
    Mutation(
        "an erasure locks the person out from its beginning",
        "shared/messaging/customers/erasure.py",
        '        await self._column("lock_messages", messages)\n',
        '        await self._column("lock_mappings", person.addresses)\n'
        '        await self._column("lock_messages", messages)\n',
        "2.10 one locked row keeps nobody waiting",
        (
            "tests/integration/messaging/customers/test_erasure_locks.py::test_while_a_long_history_goes_the_person_can_write",
        ),
    ),
)
