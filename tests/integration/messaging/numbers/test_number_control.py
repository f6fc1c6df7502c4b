"""Pausing numbers without a command line, as a console would."""

from shared.messaging.numbers.control import NumberChange, change_numbers, read_numbers
from shared.postgres.database import Database
from tests.support.rows import Connection


async def test_without_a_name_every_other_number_changes_and_an_empty_list_changes_none(
    conn: Connection, database_url: str
) -> None:
    # Given two numbers, of which one is paused
    database = Database(database_url, size=1)
    named = ("1001", "1002")
    await change_numbers(database, ["1001"], "paused", named=named, reason="billing", by="ana")

    # When nobody is named, and when nothing is
    nothing = await change_numbers(database, [], "paused", named=named, reason="all of it", by="ana")
    everything = await change_numbers(database, None, "paused", named=named, reason="all of it", by="ben")
    unseen = await change_numbers(database, ["9"], "paused", named=named, reason=None, by="ben")
    numbers = await read_numbers(database, named)
    await database.close()

    # Then
    assert nothing.changes == []
    assert everything.changes == [NumberChange("1002", "paused", changed=True, released=0)]
    assert (everything.unseen, unseen.unseen) == ([], ["9"])
    assert [(item.phone_number_id, item.reason, item.changed_by) for item in numbers] == [
        ("1001", "billing", "ana"),
        ("1002", "all of it", "ben"),
        ("9", None, "ben"),
    ]
    actors = await conn.fetch("select actor, subject from audit_log order by id")

    assert [tuple(row) for row in actors] == [("ana", "1001"), ("ben", "1002"), ("ben", "9")]
