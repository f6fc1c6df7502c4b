"""What is broken about an installation that does not let a worker work."""

from typing import Final

from tests.mutants.mutation import Mutation

_RULE: Final = "2.5 what is the installation's kills no message"
_TROUBLE: Final = "tests/integration/consuming/test_installation.py"
_UNUSABLE: Final = "tests/e2e/test_unusable.py"

MUTATIONS: Final = (
    Mutation(
        "a missing right is blamed on a message",
        "shared/postgres/database.py",
        '    return StoreMisconfigured(f"{text}: {_advise(error)}")\n',
        "    return StoreDataError(text)\n",
        _RULE,
        (f"{_TROUBLE}::test_what_is_missing_for_a_while_kills_no_message",),
    ),
    Mutation(
        "an index row that is too large is blamed on the installation",
        "shared/postgres/database.py",
        " or error.sqlstate in _LIMITS",
        "",
        "2.5 data errors blame a message",
        (f"{_TROUBLE}::test_data_constraints_and_limits_are_a_messages_own_fault",),
    ),
    Mutation(
        "a worker starts without looking at its rights",
        "shared/running/process.py",
        "        await check_usable(database)\n",
        "",
        "2.5 a right that is missing: not ready, said plainly",
        (f"{_UNUSABLE}::test_a_login_that_may_not_write_starts_not_ready_and_no_message_dies",),
    ),
    Mutation(
        "a worker is ready as soon as a server answers, whatever work says",
        "shared/consuming/store_gate.py",
        "        while self._misconfigured and not self._shut.is_set():\n",
        "        while False:\n",
        "2.5 not ready until work succeeds",
        (f"{_UNUSABLE}::test_a_worker_that_cannot_work_is_not_ready_and_says_what_to_do",),
    ),
    Mutation(
        "a scheduler is ready whose jobs may not work",
        "workers/scheduler/clock.py",
        "            self._state.not_ready.add(self._refused[job])\n",
        "",
        "2.5 not ready, said plainly",
        (f"{_UNUSABLE}::test_a_scheduler_whose_job_may_not_work_is_not_ready_until_it_may",),
    ),
    Mutation(
        "a worker without files opens everybody's breaker",
        "workers/outbound_sender/calling/cloud_api.py",
        "            if not start.is_out and _is_ours(error):\n",
        "            if False:\n",
        "4.7 the breaker counts what the platform does, 2.10 one sick replica",
        ("tests/e2e/test_out_of_files.py",),
    ),
    Mutation(
        "times are judged by a machine's own clock",
        "shared/payloads/clock.py",
        "time.time() if self._ahead_s is None else time.monotonic() + self._ahead_s",
        "time.time()",
        "1.4 no decision compares two clocks",
        ("tests/integration/consuming/test_clocks.py",),
    ),
    Mutation(
        "a wrong clock is not told",
        "shared/running/timekeeping.py",
        "            self._state.degraded.add(told)\n",
        "            pass\n",
        "1.4 a clock that is off by more than a minute is said",
        ("tests/integration/consuming/test_clocks.py::test_a_wrong_clock_is_told_until_it_is_right",),
    ),
    Mutation(
        "a signal that comes while a worker is imported is lost",
        "workers/__main__.py",
        'if sys.argv[1:2] == ["worker"]:',
        "if False:",
        "INTERFACE 6 SIGTERM drains",
        ("tests/e2e/test_stopping.py::test_a_worker_that_is_told_to_stop_before_it_has_begun_stops_at_once",),
    ),
)
