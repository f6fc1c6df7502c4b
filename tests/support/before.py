"""Conversations as they were before a customer had a name of its own, and what must have become of them."""

from collections import Counter
from typing import Final

from tests.support.rows import NOON, Connection

#: Of each kind.
PEOPLE: Final = 500
#: Of each of these many: a phone alone; one in two notations; one alone in that which WhatsApp does not use;
#: one with an id that wrote by itself, too.
FILL: Final = """
insert into conversation_mappings
    (wa_id, user_id, phone_number_id, conversation_id, first_message_id, created_at)
select wa_id, user_id, '1001', 'conversation ' || wa_id, 'wamid.' || wa_id, $2
from generate_series(1, $1) as n, lateral (values
    ((4915100000000 + n)::text, null),
    ('55318' || 7000000 + n, null), ('553198' || 7000000 + n, null),
    ('553198' || 8000000 + n, null),
    ((4915200000000 + n)::text, 'DE.a' || n), ('DE.a' || n, 'DE.a' || n)
) as row (wa_id, user_id)
"""
#: People to whose one open conversation not both of their earlier ids lead.
LOST: Final = """
select count(*)
from generate_series(1, $1) as n, lateral (values
    ('55318' || 7000000 + n, '553198' || 7000000 + n), ((4915200000000 + n)::text, 'DE.a' || n)
) as row (customer, beside),
lateral (values ('conversation ' || customer), ('conversation ' || beside)) as earlier (given)
where (select count(*) from conversation_mappings as mapping
       where mapping.customer = row.customer and mapping.status = 'active'
         and (mapping.conversation_id = given
              or exists (select from conversation_aliases as alias
                         where alias.mapping_id = mapping.id and alias.conversation_id = given))) <> 1
"""
#: People of one notation alone who go on in their conversation, under the name that WhatsApp gives them.
RENAMED: Final = """
select count(*)
from generate_series(1, $1) as n
join conversation_mappings as mapping
    on mapping.customer = '55318' || 8000000 + n and mapping.wa_id = '553198' || 8000000 + n
       and mapping.conversation_id = 'conversation ' || mapping.wa_id and mapping.status = 'active'
join customer_addresses as known on known.address = mapping.customer and known.phone = mapping.customer
"""
LEFT: Final = "conversation_mappings where customer is null"


async def count(conn: Connection, what: str) -> int:
    return int(await conn.fetchval(f"select count(*) from {what}"))


async def write_as_before(conn: Connection, statement: str, *arguments: object) -> None:
    """As workers did before the migration."""
    for table in ("conversation_mappings", "broadcast_recipients"):
        await conn.execute(f"alter table {table} disable trigger user")
    await conn.execute(statement, *arguments)
    for table in ("conversation_mappings", "broadcast_recipients"):
        await conn.execute(f"alter table {table} enable trigger user")


async def add_people_of_before(conn: Connection, people: int) -> None:
    """Of each kind so many: 6 conversations for 4 people."""
    await write_as_before(conn, FILL, people, NOON)


async def judge_people(conn: Connection, people: int) -> None:
    """Each person has one open conversation, to which every earlier id leads; and each join is told once."""
    assert await count(conn, LEFT) == 0
    assert await conn.fetchval(LOST, people) == 0
    assert await conn.fetchval(RENAMED, people) == people
    assert await count(conn, "conversation_mappings where status = 'active'") == 4 * people
    assert await count(conn, "conversation_mappings where status = 'closed'") == 2 * people
    told = await conn.fetch("select event_type from outbox_events")
    assert Counter(row["event_type"] for row in told) == {
        "conversation.closed": 2 * people,
        "customer.merged": 2 * people,
    }
