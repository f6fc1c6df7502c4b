-- A busy quarter's tables, with a backlog of every kind. Row n of a table has the id row_id(n); each statement fills
-- the table of its name.

-- name: row_id
create function row_id(n bigint) returns uuid immutable language sql
return ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid;

-- name: business_numbers
insert into business_numbers (phone_number_id, state)
select n::text, case when n = 1009 then 'paused' else 'active' end from generate_series(1000, 1009) as n;

-- name: circuit_breakers
insert into circuit_breakers (service) select n::text from generate_series(1000, 1009) as n;

-- name: leases
insert into leases (name, owner, expires_at) values ('scheduler', row_id(1), now() + interval '1 hour');

-- name: customer_profiles
insert into customer_profiles (phone, opt_in_marketing, last_interaction_at, source_shop, wc_customer_id)
select (49151000000000 + n)::text, n % 50 <> 0, now(), 'default', 'id ' || n from generate_series(1, 200000) as n;

-- name: consent_events
insert into consent_events (phone, kind, value, source, occurred_at, evidence)
select (49151000000000 + n)::text, 'marketing', n % 50 <> 0, 'message', now() - interval '80 days' * n / 200000,
       'wamid.' || n
from generate_series(1, 200000) as n;

-- name: suppressions
insert into suppressions (phone_hash, kind)
select sha256(('erased ' || n)::bytea), 'marketing' from generate_series(1, 200000) as n;

-- name: customer_addresses
insert into customer_addresses (address, phone, kind, source)
select (49151000000000 + n)::text, (49151000000000 + n)::text, 'phone', 'inbound' from generate_series(1, 200000) as n;

-- name: conversation_mappings
-- All active; 830 of them for longer than 24 h.
insert into conversation_mappings
    (id, wa_id, customer, phone_number_id, conversation_id, last_activity_at, created_at)
select row_id(n), (49151000000000 + n)::text, (49151000000000 + n)::text, (1000 + n % 10)::text, 'conversation ' || n,
       now() - interval '24.1 hours' * n / 200000, now() - interval '80 days' * n / 200000
from generate_series(1, 200000) as n;

-- name: conversation_aliases
insert into conversation_aliases (conversation_id, mapping_id)
select 'earlier ' || n, row_id(n) from generate_series(1, 200000) as n;

-- name: broadcast_campaigns
insert into broadcast_campaigns (id, phone_number_id, message_text, status, next_batch_at)
select 'done ' || n, '1001', 'text', 'done', null from generate_series(1, 200000) as n
union all select 'giant', '1001', 'text', 'running', now()
union all select 'paused', '1001', 'text', 'paused', null;

-- name: message_tracking
-- The first customer has 4,000 messages and one more; the last 12,000 of all wait to be sent, 700 of them for
-- the giant campaign.
insert into message_tracking
    (id, mapping_id, wamid, client_message_id, genesys_message_id, direction, status, lane, campaign_id, created_at)
select row_id(n), row_id(case when n <= 4000 or n = 200000 then 1 else n end),
       case when n <= 188000 then 'wamid.' || n end,
       case when n % 4 = 0 then 'client ' || n end, case when n % 4 = 1 then 'genesys ' || n end,
       case when n % 4 = 2 and n <= 188000 then 'INBOUND' else 'OUTBOUND' end,
       case when n > 188000 then 'queued' when n % 4 = 2 then 'processed' else 'delivered' end,
       case when n % 4 = 2 and n <= 188000 then null when n > 199300 and n < 200000 then 'bulk' else 'reply' end,
       case when n > 199300 and n < 200000 then 'giant' when n <= 40000 and n % 4 = 3 then 'done 1' end,
       now() - interval '90 days 5 hours' * (200000 - n) / 200000
from generate_series(1, 200000) as n;

-- name: outbound_bodies
-- Those of the 12,000 that wait, and of as many as were sent and are not decided.
insert into outbound_bodies (message_id, queue, exchange, routing_key, body, created_at)
select row_id(n), 'outbound-sender', 'wa.outbound', 'reply.1', '{}',
       now() - interval '8 days 5 hours' * (200000 - n) / 200000
from generate_series(1, 200000) as n;

-- name: send_attempts
-- Of each message that was sent; 12,000 had to be tried twice.
insert into send_attempts (message_id, attempt, wamid, outcome, started_at, finished_at)
select row_id(n), 1, 'wamid.' || n, 'sent', at, at
from (select n, now() - interval '30 days 5 hours' * (200000 - n) / 200000 as at
      from generate_series(1, 188000) as n) as row
union all
select row_id(n), 2, null, 'failed', now(), now() from generate_series(20001, 32000) as n;

-- name: status_events
-- 200,000 events that wait for the messages of another system, and some that found theirs.
insert into status_events (wamid, status, occurred_at, received_at, message_id, outcome)
select 'other.' || n, 'sent', now(), now() - interval '23.9 hours' * (200000 - n) / 200000, null, 'unmatched'
from generate_series(1, 200000) as n
union all
select 'wamid.' || n, 'delivered', now(), now() - interval '30 days 5 hours' * (200000 - n) / 200000, row_id(n),
       'applied'
from generate_series(168001, 188000) as n;

-- name: broadcast_recipients
-- 60,000 skipped, most after an attempt; 100,000 still to go.
insert into broadcast_recipients (campaign_id, wa_id, customer, status, message_id)
select case when n <= 80000 then 'done ' || 1 + n % 400 else 'giant' end, (49151000000000 + n)::text,
       (49151000000000 + n)::text,
       case when n <= 20000 then 'delivered' when n <= 80000 then 'skipped'
            when n <= 100000 then 'delivered' when n between 199301 and 199999 then 'queued' else 'pending' end,
       case when n <= 60000 or n between 199301 and 199999 then row_id(n) end
from generate_series(1, 200000) as n;

-- name: outbox_events
insert into outbox_events (id, event_type, payload, created_at, published_at, claimed_until)
select row_id(n), 'message.updated', '{"event_version": 1}', at, case when n <= 198000 then at end, at
from (select n, now() - interval '8 days 5 hours' * (200000 - n) / 200000 - interval '1 minute' as at
      from generate_series(1, 200000) as n) as row;

-- name: deferred_messages
-- 500 customers have 60 each behind an earlier message; numbers that work have 6,000 due each, one that
-- is paused has more than twenty times as many. 300 are ambiguous. The ten newest messages are not deferred.
insert into deferred_messages
    (id, queue, exchange, routing_key, body, headers, reason, not_before, message_id, message_seq, phone_number_id,
     customer, lane)
select row_id(n), 'outbound-sender', 'wa.outbound', 'reply.1', '{}', '{"correlation_id": "trace"}', reason,
       case reason when 'ambiguous' then now() + interval '1 hour' * (n - 24000) / 60000
                   when 'earlier_message' then null
                   else now() - interval '1 hour' * n / 200000 end,
       case when n between 48001 and 59990 then row_id(n + 140000) when reason = 'ambiguous' then row_id(n) end,
       200001 - n, case when n > 60000 then '1009' else (1000 + n % 10)::text end,
       (49151000010000 + n % 1000)::text, 'reply'
from (select n, case when n > 60000 or n % 10 = 9 then 'number_paused'
                     when n % 60 = 0 and n <= 18000 then 'ambiguous'
                     when n % 2 = 0 then 'earlier_message' else 'rate_limit' end as reason
      from generate_series(1, 200000) as n) as row;

-- name: dead_letter_queue
-- 140,000 are open. 20,000 of them are of a kind that goes back by itself: 250 may, 250 have gone often enough by now,
-- the others had long before. 60,000 are settled since yesterday, 1,000 of them for longer than they are kept.
insert into dead_letter_queue
    (id, dedupe_key, source_queue, reason, payload, raw_body, status, created_at, dismissed_at, replay_count,
     automatic)
select row_id(n), 'key ' || n, 'outbound-sender', case when n % 7 = 0 then 'database_error' else 'send_rejected' end,
       '{"wa_id": "4915"}', repeat('{"wa_id": "4915"}', 10)::bytea,
       case when n <= 60000 then 'dismissed' else 'pending' end, now() - interval '60 days',
       case when n <= 1000 then now() - interval '31 days' when n <= 60000 then now() - interval '1 day' end,
       case when n % 7 = 0 and n % 560 <> 0 then 3 else 0 end, n % 280 = 0
from generate_series(1, 200000) as n;

-- name: audit_log
insert into audit_log (at, actor, action, subject)
select now() - interval '90 days' * (200000 - n) / 200000, 'ana', 'dlq.replay', row_id(n)::text
from generate_series(1, 200000) as n;

-- name: carts
-- The last 20,000 are open; nobody can be reminded of a tenth of these. 900 are due.
insert into carts
    (id, shop_id, cart_id, customer_phone, items_hash, status, closed_at, source_updated_at, source_hash, created_at,
     last_activity_at, next_step_at)
select row_id(n), 'default', 'id ' || n, (4915200000000 + n)::text, '\x00',
       case when n <= 180000 then 'expired' else 'active' end,
       case when n <= 180000 then now() - interval '91 days' * (200000 - n) / 200000 end,
       now(), '\x00', now() - interval '91 days' * (200000 - n) / 200000,
       now() - interval '91 days' * (200000 - n) / 200000, case when n % 10 > 0 and n > 180000 then now() + interval '1 day' * (n <= 199000)::integer end
from generate_series(1, 200000) as n;

-- name: orders
insert into orders
    (shop_id, order_id, customer_phone, status, total, currency, cart_id, counted_phone, counted_orders, counted_spent,
     source_version, source_updated_at, source_hash)
select 'default', 'id ' || n, (4915200000000 + n)::text, 'completed', 10, 'EUR', 'id ' || n,
       (4915200000000 + n)::text, 1, 10, 0, now(), '\x00'
from generate_series(1, 200000) as n;

-- name: product_views
insert into product_views (shop_id, customer_phone, product_id, viewed_at)
select 'default', (4915200000000 + n)::text, 'id ' || n % 1000, now() - interval '31 days' * (200000 - n) / 200000
from generate_series(1, 200000) as n;

-- name: notification_log
-- Of the last 20,000 the first 18,000 come later, 1,000 are queued and 1,000 are due.
insert into notification_log
    (id, shop_id, kind, notification_type, dedupe_key, order_id, cart, customer_phone, phone_number_id, category, status,
     attempt, not_before, reserved_at, message_id, sent_at, created_at)
select row_id(n), 'default', 'cart', 'cart_reminder_1', 'key ' || n, 'id ' || n, row_id(n),
       (4915200000000 + n)::text, (1000 + n % 10)::text, 'marketing',
       case when n <= 180000 then 'read' when n <= 198000 or n > 199000 then 'pending' else 'queued' end,
       case when n <= 180000 or n between 198001 and 199000 then 1 else 0 end,
       case when n > 199000 then now() - interval '1 minute' when n between 180001 and 198000 then now() + interval '1 hour' end,
       case when n <= 180000 or n between 198001 and 199000 then at end,
       case when n <= 180000 then row_id(n) end, case when n <= 180000 then at end, at
from (select n, now() - interval '91 days' * (200000 - n) / 200000 as at from generate_series(1, 200000) as n) as row;

-- name: reengagement
insert into reengagement (id, shop_id, customer_phone, campaign_type, sent_at, created_at)
select row_id(n), 'default', (4915200000000 + n)::text, 'cart_reminder', at, at
from (select n, now() - interval '366 days' * (200000 - n) / 200000 as at from generate_series(1, 200000) as n) as row;
