"""Ids made here are UUIDs of their version, whoever reads them."""

from uuid import RFC_4122, UUID

from shared.ids import random_uuid


def test_a_random_id_is_a_uuid_of_version_4_and_no_other_is_like_it() -> None:
    made = [random_uuid() for _ in range(1000)]

    read = [UUID(text) for text in made]

    assert [str(item) for item in read] == made
    assert {(item.version, item.variant) for item in read} == {(4, RFC_4122)}
    assert len(set(made)) == 1000
