"""How many persons are renamed at a time."""

import pytest

from shared.messaging.customers.renaming import in_batches


@pytest.mark.parametrize(
    ("rows", "batches"),
    [
        ([], []),
        ([1, 1, 1], [[1, 1, 1]]),
        ([6, 4, 1], [[6, 4], [1]]),
        ([6, 5, 5], [[6], [5, 5]]),
        ([3, 11, 3], [[3, 3]]),
        ([11], []),
        ([10, 0, 10], [[10, 0], [10]]),
    ],
)
def test_a_batch_has_ten_rows_at_most_and_who_has_more_alone_is_left_out(
    rows: list[int], batches: list[list[int]]
) -> None:
    found = [{"rows": count} for count in rows]

    given = list(in_batches(found, 10))

    assert [[row["rows"] for row in batch] for batch in given] == batches
