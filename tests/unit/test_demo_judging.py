"""The demo's judge tells a broken promise from a fault of its own, and ends with another word for each."""

from dataclasses import replace
from io import StringIO
from typing import Any, Final

import pytest
from rich.console import Console

from deploy.demo.figures import Figures
from deploy.demo.invariants import Evidence, Verdict, cluster
from deploy.demo.invariants.evidence import Awaited, Remains
from deploy.demo.judging import AGENTS, conclude, describe
from deploy.demo.report import DemoResult, Report, print_report
from deploy.demo.rest import Rest
from shared.errors import StackError
from tests.unit.test_demo_invariants import GOOD

AT_REST: Final = Rest()
BAD: Final = replace(GOOD, remains=Remains(unmarked=1))
TOLD: Final = Awaited("outbound.sent", "g1", is_published=True)


def fail(evidence: Evidence) -> Verdict:
    """A check with a fault."""
    raise KeyError(evidence.inbound[0].wamid)


def report(evidence: Evidence, rest: Rest, *more: Any) -> Report:
    invariants = (cluster.all_marked, cluster.agents_told, *more)
    figures = Figures({}, {}, {}, {}, [])
    return Report(1, 50.0, 700, figures, conclude(evidence, rest, invariants), {}, {}, {})


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (report(GOOD, AT_REST), DemoResult.KEPT),
        (report(BAD, AT_REST), DemoResult.BROKEN),
        (report(GOOD, Rest({"queued": 1}, unchanged_s=120.0)), DemoResult.BROKEN),
        (report(replace(GOOD, awaited=[replace(TOLD, is_published=False)]), AT_REST), DemoResult.BROKEN),
        (report(GOOD, AT_REST, fail), DemoResult.NOT_JUDGED),
        (report(BAD, AT_REST, fail), DemoResult.BROKEN),
        (report(BAD, Rest({"queued": 1}, unchanged_s=2.0)), DemoResult.NOT_JUDGED),
        (report(replace(GOOD, awaited=[TOLD]), Rest({AGENTS: 1}, 120.0)), DemoResult.NOT_JUDGED),
        (report(GOOD, Rest({AGENTS: 1}, 120.0)), DemoResult.NOT_JUDGED),
    ],
    ids=[
        "good",
        "a broken promise",
        "work that stands still",
        "an event that was never told",
        "a check that fails",
        "a broken promise beside a check that fails",
        "too short a wait",
        "an event that was told and not heard",
        "agents who wait for nothing",
    ],
)
def test_a_broken_promise_is_told_from_a_fault_of_the_judge(found: Report, result: DemoResult) -> None:
    printed = StringIO()

    print_report(found, Console(width=200, file=printed))

    text = printed.getvalue()
    assert found.result == found.as_json()["result"] == result
    assert ("FAILED" in text) == (result is DemoResult.BROKEN)
    assert ("could not judge: " in text) == bool(found.conclusion.doubts)


def test_a_doubt_says_what_failed_and_where() -> None:
    [doubt] = conclude(GOOD, AT_REST, [fail]).doubts

    assert doubt.startswith("the check fail failed: KeyError: 'w1' (")
    assert __file__ in doubt


def test_an_error_of_several_tasks_is_told_in_one_line() -> None:
    def read() -> None:
        raise OSError("the connection was lost")

    try:
        read()
    except OSError as error:
        both = ExceptionGroup("tasks", [StackError("the resolver is not ready"), ExceptionGroup("", [error])])

    assert describe(both).startswith("the resolver is not ready; OSError: the connection was lost (")
    assert "\n" not in describe(both)
