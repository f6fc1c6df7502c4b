"""Confirms of windows that are out together: any order, alone or for many, tells of each publication once."""

import asyncio
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from shared.amqp.frames.confirming import Answer, Confirms

CUT: Final = ConnectionError("cut")


@given(sizes=st.lists(st.integers(1, 8), min_size=1, max_size=4), data=st.data())
def test_each_publication_has_the_answer_that_came_first_for_its_tag(
    sizes: list[int], data: st.DataObject
) -> None:
    asyncio.run(check_answers(sizes, data))


async def check_answers(sizes: list[int], data: st.DataObject) -> None:
    # Given windows, some of whose publications were returned
    confirms, total = Confirms(), sum(sizes)
    ids = [f"id-{tag}" for tag in range(1, total + 1)]
    windows = [confirms.begin(ids[sum(sizes[:n]) : sum(sizes[: n + 1])]) for n in range(len(sizes))]
    returned = data.draw(st.sets(st.sampled_from(range(1, total + 1)), max_size=3), "returned")
    for tag in returned:
        confirms.give_back(f"id-{tag}")
    confirms.give_back("of nobody")
    # When the server answers, for what it has not answered yet, and may end in the middle of it
    expected = dict.fromkeys(range(1, total + 1), Answer.NONE)
    for _ in range(data.draw(st.integers(0, total), "answers")):
        waiting = [tag for tag, answer in expected.items() if answer == Answer.NONE]
        if not waiting:
            break
        tag, is_ack, many = data.draw(
            st.tuples(st.sampled_from(waiting), st.booleans(), st.booleans()), "answer"
        )
        confirms.take(is_ack, tag, many)
        for answered in [below for below in waiting if below <= tag] if many else [tag]:
            taken = Answer.TAKEN if is_ack else Answer.REFUSED
            expected[answered] = Answer.RETURNED if answered in returned else taken
        done = [all(expected[tag] for tag in range(it.first, it.last + 1)) for it in windows]
        assert [window.done.done() for window in windows] == done
        assert len(confirms.out) == done.count(False)
    confirms.end(CUT)
    # Then
    told = [Answer(answer) for window in windows for answer in window.answers]
    assert told == list(expected.values())
    assert all(window.done.done() for window in windows)
    assert [window.cut_off is CUT for window in windows] == [
        Answer.NONE in window.answers for window in windows
    ]


async def test_an_answer_after_nobody_waits_changes_nothing_of_the_next_window() -> None:
    confirms = Confirms()
    given_up = confirms.begin(["a", "b"])
    given_up.finish()
    after = confirms.begin(["c"])

    confirms.take(True, 2, multiple=True)

    assert (bytes(given_up.answers), bytes(after.answers)) == (bytes([Answer.TAKEN] * 2), b"\x00")
    assert not after.done.done()
    assert confirms.out == [after.done]
