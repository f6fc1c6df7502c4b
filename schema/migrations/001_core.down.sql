drop table audit_log, rows_set_aside, leases, dead_letter_queue, deferred_messages, outbox_events, broadcast_recipients,
    status_events, send_attempts, outbound_bodies, message_tracking, broadcast_campaigns, conversation_aliases,
    conversation_mappings, circuit_breakers, business_numbers, customer_profiles;
drop domain customer_address;
drop function open_draft();
drop function time_ordered_uuid();
