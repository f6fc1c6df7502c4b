"""A wait in vain says what it waited for and what it saw."""

import asyncio
from functools import partial

import pytest

from tests.support.waiting import until

_SOON_S = 0.02


class Cupboard:
    """Something that conditions ask."""

    def __init__(self) -> None:
        self.cups = ["blue", "green"]

    def told(self, shelf: str) -> list[str]:
        return self.cups

    async def count(self, shelf: str) -> int:
        await asyncio.sleep(0)
        return len(self.cups)


async def holds(cupboard: Cupboard, shelf: str, expected: int) -> bool:
    found = await cupboard.count(shelf)
    return found == expected


async def in_vain(condition: object) -> str:
    with pytest.raises(TimeoutError) as failure:
        await until(condition, _SOON_S)  # type: ignore[arg-type]
    return str(failure.value)


async def test_it_says_the_condition_and_the_value_that_it_compared() -> None:
    cupboard = Cupboard()
    text = await in_vain(lambda: len(cupboard.told("top")) == 3)

    assert text.splitlines()[0] == "waited 0.02 s in vain for"
    assert 'len(cupboard.told("top")) == 3' in text
    assert "told(shelf='top') gave ['blue', 'green']" in text


async def test_it_says_what_a_function_that_was_awaited_had_found() -> None:
    cupboard = Cupboard()
    text = await in_vain(lambda: holds(cupboard, "top", 3))

    assert 'holds(cupboard, "top", 3)' in text
    assert "count(shelf='top') gave 2" in text
    assert "holds(shelf='top', expected=3, found=2) gave False" in text


async def test_it_says_so_of_a_partial_function_and_of_one_with_a_name() -> None:
    cupboard = Cupboard()

    async def is_empty() -> bool:
        return await cupboard.count("top") == 0

    assert "found=2" in await in_vain(partial(holds, cupboard, "top", 3))
    text = await in_vain(is_empty)

    assert "is_empty()" in text
    assert "gave 2" in text


async def test_a_condition_that_gives_no_answer_is_told_from_one_that_is_false(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.support.waiting._LAST_LOOK_S", _SOON_S)

    async def hang() -> bool:
        await asyncio.Event().wait()
        return True

    assert "it gave no answer" in await in_vain(hang)
    assert "gave False" in await in_vain(lambda: bool(0))


async def test_what_other_tasks_do_meanwhile_is_not_told() -> None:
    cupboard = Cupboard()

    async def busy() -> None:
        while True:
            await cupboard.count("another")

    beside = asyncio.create_task(busy())
    text = await in_vain(lambda: holds(cupboard, "top", 3))
    beside.cancel()

    assert "another" not in text


async def test_what_holds_at_the_last_look_was_not_in_vain() -> None:
    looks: list[bool] = []

    def late() -> bool:
        looks.append(True)
        return len(looks) == 2

    await until(late, 0.0)

    assert len(looks) == 2


async def test_an_error_of_the_condition_itself_is_its_own() -> None:
    async def fail() -> bool:
        raise TimeoutError("the server's")

    with pytest.raises(TimeoutError, match="the server's"):
        await until(fail)
