-- name: prune
delete from notification_log
where id = any(array(select id from notification_log where created_at < now() - $1::interval
                     order by created_at limit $2 for update skip locked));

-- name: prune_reengagement
delete from reengagement
where id = any(array(select id from reengagement where created_at < now() - $1::interval
                     order by created_at limit $2 for update skip locked));

-- name: erase
-- Those of their messages, too, whomever the notice names.
delete from notification_log
where customer_phone = any($1::text[])
   or message_id = any(array(select tracked.id
                             from conversation_mappings as mapping
                             join message_tracking as tracked on tracked.mapping_id = mapping.id
                             where coalesce(mapping.customer, mapping.wa_id) = any($1::text[])));

-- name: export
select * from notification_log
where customer_phone = any($1::text[])
   or message_id = any(array(select tracked.id
                             from conversation_mappings as mapping
                             join message_tracking as tracked on tracked.mapping_id = mapping.id
                             where coalesce(mapping.customer, mapping.wa_id) = any($1::text[])))
order by created_at, id;

-- name: export_reengagement
select * from reengagement where customer_phone = any($1::text[]) order by created_at, id;

-- name: erase_reengagement
delete from reengagement where customer_phone = any($1::text[]);
