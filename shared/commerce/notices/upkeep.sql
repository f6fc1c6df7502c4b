-- name: prune
delete from notification_log
where id in (select id from notification_log where created_at < now() - $1::interval order by created_at limit $2);

-- name: prune_reengagement
delete from reengagement
where id in (select id from reengagement where created_at < now() - $1::interval order by created_at limit $2);

-- name: erase
delete from notification_log where customer_phone = any($1::text[]);

-- name: erase_reengagement
delete from reengagement where customer_phone = any($1::text[]);
