"""The statements of the three jobs, one message each. Pure text; `{n}` is a parameter."""

from typing import Final

OPEN_MAPPING: Final = """
insert into conversation_mappings as mapping (phone_number_id, wa_id, contact_name, last_message_id)
values ({0}, {1}, {2}, {3})
on conflict (phone_number_id, (coalesce(customer, wa_id))) where status = 'active' do update
set last_activity_at = now(), updated_at = now(), last_message_id = excluded.last_message_id,
    contact_name = coalesce(excluded.contact_name, mapping.contact_name)
returning id, conversation_id, xmax = 0 as opened
"""

TRACK: Final = """
insert into message_tracking
    (mapping_id, wamid, direction, status, message_type, sent_at, is_new_conversation)
values ({0}, {1}, 'INBOUND', 'received', {2}, {3}, {4})
on conflict (wamid) where wamid is not null do nothing
"""

STORE_STATUS: Final = """
insert into status_events (wamid, status, occurred_at, message_id, outcome)
select {0}::text, {1}::text, {2}::timestamptz,
       (select id from message_tracking where wamid = {0}::text), 'applied'
on conflict (reference, status, occurred_at, source) do nothing
"""

RAISE_STATUS: Final = """
update message_tracking
set status = {1}::text, updated_at = now(),
    delivered_at = case when {1}::text = 'delivered' then {2}::timestamptz else delivered_at end,
    read_at = case when {1}::text = 'read' then {2}::timestamptz else read_at end
where wamid = {0}
  and array_position(array['queued', 'sent', 'delivered', 'read'], status)
    < array_position(array['queued', 'sent', 'delivered', 'read'], {1}::text)
"""

CLAIM_MESSAGE: Final = """
insert into message_tracking (mapping_id, direction, status, lane, client_message_id)
values ({0}, 'OUTBOUND', 'queued', 'reply', {1}) returning id
"""

CLAIM_ATTEMPT: Final = "insert into send_attempts (message_id, attempt) values ({0}, 1)"

END_ATTEMPT: Final = """
update send_attempts set outcome = 'sent', finished_at = now(), http_status = 200, wamid = {1}
where message_id = {0} and attempt = 1
"""

END_MESSAGE: Final = """
update message_tracking set status = 'sent', sent_at = now(), updated_at = now(), wamid = {1} where id = {0}
"""


def for_asyncpg(statement: str) -> str:
    """With `$1` and so on."""
    return statement.format(*(f"${place}" for place in range(1, 10)))


def for_psycopg(statement: str) -> str:
    """With `%(p1)s` and so on."""
    return statement.format(*(f"%(p{place})s" for place in range(1, 10)))
