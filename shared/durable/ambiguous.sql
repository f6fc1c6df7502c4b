-- name: reconcile
-- Whoever claimed the attempt may be dead: the scheduler waits for evidence and decides. A row that this very
-- delivery came from gets a new id, because the old one is removed when the delivery is acknowledged.
insert into deferred_messages
    (queue, exchange, routing_key, body, headers, reason, not_before, message_id, message_seq, phone_number_id,
     customer, lane)
values ($1, $2, $3, $4, $5, 'ambiguous', now() + $6::interval, $7,
        (select tracked.seq from message_tracking as tracked where tracked.id = $7), $8, $9, $10)
on conflict (message_id) where message_id is not null do update
set id = time_ordered_uuid(), reason = excluded.reason, not_before = excluded.not_before, published_until = null
where deferred_messages.id = $11::uuid;

-- name: postpone
update deferred_messages set not_before = now() + $2::interval where id = any($1::uuid[]);

-- name: release
-- Back to the sender: it acknowledges what is done and sends what may be sent.
update deferred_messages set reason = 'released', not_before = now() where id = any($1::uuid[]);

-- name: hasten_messages
-- Evidence about these messages arrived: they need not wait for it any longer.
update deferred_messages set not_before = now()
where message_id = any($1::uuid[]) and reason = 'ambiguous' and not_before > now();
