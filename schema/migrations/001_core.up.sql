-- The core schema: who is talking, what was said, what became of it.
-- Every time is timestamptz. Ids that are made in bulk are time-ordered, so that inserts touch the
-- right edge of their index and pruning touches the left one.

create function time_ordered_uuid() returns uuid
language sql volatile parallel safe
as $$
    select encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                    from 1 for 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

create domain customer_address as text
    constraint customer_address_form check (
        value ~ '^[0-9]{5,20}$'
        or (value ~ '^[A-Z]{2}(\.ENT)?\.[A-Za-z0-9]+$' and length(value) <= 160)
    );

create table customer_profiles (
    phone                customer_address primary key,
    name                 text,
    opt_in_marketing     boolean,
    marketing_opted_at   timestamptz,
    notification_opt_out boolean not null default false,
    last_interaction_at  timestamptz,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now()
) with (fillfactor = 85);

create table business_numbers (
    phone_number_id text primary key,
    state           text not null default 'active' check (state in ('active', 'paused')),
    reason          text,
    since           timestamptz not null default now(),
    changed_by      text,
    slowed_until    timestamptz,
    marketing_held_until timestamptz
);

create table circuit_breakers (
    service         text primary key,
    state           text not null default 'closed' check (state in ('closed', 'open', 'half_open')),
    failures        integer not null default 0 check (failures >= 0),
    successes       integer not null default 0 check (successes >= 0),
    failed_messages uuid[] not null default '{}',
    probes          integer not null default 0 check (probes >= 0),
    probes_until    timestamptz,
    opened_at       timestamptz,
    updated_at      timestamptz not null default now()
);

create table conversation_mappings (
    id                   uuid primary key default time_ordered_uuid(),
    wa_id                customer_address not null,
    user_id              text,
    conversation_id      text,
    conversation_seq     bigint,
    communication_id     text,
    first_message_id     text,
    last_message_id      text,
    contact_name         text,
    phone_number_id      text not null,
    display_phone_number text,
    status               text not null default 'active' check (status in ('active', 'closed', 'expired')),
    last_activity_at     timestamptz not null default now(),
    -- Indexed in place of last_activity_at, so that a touch within the hour is a heap-only update.
    activity_hour        timestamptz not null generated always as (
        date_trunc('hour', last_activity_at at time zone 'UTC') at time zone 'UTC') stored,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    metadata             jsonb
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

create unique index conversation_mappings_one_active
    on conversation_mappings (phone_number_id, wa_id) where status = 'active';
create index conversation_mappings_customer on conversation_mappings (wa_id, created_at);
create index conversation_mappings_user on conversation_mappings (user_id) where user_id is not null;
create index conversation_mappings_conversation
    on conversation_mappings (conversation_id) where conversation_id is not null;
create index conversation_mappings_idle on conversation_mappings (activity_hour, id) where status = 'active';

create table conversation_aliases (
    conversation_id text not null,
    mapping_id      uuid not null references conversation_mappings (id) on delete cascade,
    created_at      timestamptz not null default now(),
    primary key (conversation_id, mapping_id)
);
create index conversation_aliases_mapping on conversation_aliases (mapping_id);

create table broadcast_campaigns (
    id               text primary key,
    name             text,
    phone_number_id  text,
    template         jsonb,
    message_text     text,
    category         text,
    batch_size       integer not null default 50 check (batch_size > 0),
    batch_delay_ms   integer not null default 1000 check (batch_delay_ms >= 0),
    scheduled_at     timestamptz,
    on_ambiguous     text check (on_ambiguous in ('fail', 'resend')),
    status           text not null default 'draft'
                     check (status in ('draft', 'scheduled', 'running', 'paused', 'cancelled', 'done')),
    status_reason    text,
    next_batch_at    timestamptz,
    control_at       timestamptz,
    fields_hash      bytea,
    correlation_id   text,
    metadata         jsonb,
    started_at       timestamptz,
    finished_at      timestamptz,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);
create index broadcast_campaigns_due
    on broadcast_campaigns (next_batch_at) where status in ('scheduled', 'running');

create table message_tracking (
    id                    uuid primary key default time_ordered_uuid(),
    seq                   bigint generated always as identity,
    mapping_id            uuid not null references conversation_mappings (id) on delete cascade,
    wamid                 text,
    genesys_message_id    text,
    client_message_id     text,
    direction             text not null check (direction in ('INBOUND', 'OUTBOUND')),
    status                text not null check (
        (direction = 'OUTBOUND' and status in ('queued', 'sent', 'delivered', 'read', 'failed'))
        or (direction = 'INBOUND' and status in ('received', 'processed', 'failed'))),
    message_type          text,
    media_url             text,
    lane                  text check (lane in ('reply', 'utility', 'bulk')),
    -- Indexed in place of status, so that delivered, read and the like are heap-only updates.
    queued_lane           text generated always as (case when status = 'queued' then lane end) stored,
    campaign_id           text references broadcast_campaigns (id) on delete set null,
    content_hash          bytea,
    is_new_conversation   boolean,
    sent_at               timestamptz,
    delivered_at          timestamptz,
    read_at               timestamptz,
    failed_at             timestamptz,
    error_code            text,
    error_message         text,
    publish_claimed_by    uuid,
    publish_claimed_until timestamptz,
    published_at          timestamptz,
    w3c_trace_id          uuid,
    replay_of             uuid references message_tracking (id) on delete set null,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now(),
    metadata              jsonb
) with (fillfactor = 85,
        autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.05);

create unique index message_tracking_wamid on message_tracking (wamid) where wamid is not null;
create unique index message_tracking_genesys_id
    on message_tracking (genesys_message_id) where genesys_message_id is not null and replay_of is null;
create unique index message_tracking_client_id
    on message_tracking (client_message_id) where client_message_id is not null and replay_of is null;
create unique index message_tracking_replay on message_tracking (replay_of) where replay_of is not null;
create index message_tracking_mapping on message_tracking (mapping_id, created_at);
create index message_tracking_waiting
    on message_tracking (mapping_id, queued_lane, seq) where queued_lane is not null;
create index message_tracking_campaign on message_tracking (campaign_id) where campaign_id is not null;
create index message_tracking_campaign_queued
    on message_tracking (campaign_id) where queued_lane is not null and campaign_id is not null;
create index message_tracking_age on message_tracking (created_at);
-- A summary of each 128 pages: an index with an entry for each row would cost every inbound message 4 %.
create index message_tracking_trace
    on message_tracking using brin (w3c_trace_id uuid_bloom_ops) with (autosummarize = on);

create table outbound_bodies (
    message_id  uuid primary key references message_tracking (id) on delete cascade,
    queue       text not null,
    exchange    text not null,
    routing_key text not null,
    body        bytea not null,
    headers     jsonb not null default '{}',
    created_at  timestamptz not null default now()
);
create index outbound_bodies_age on outbound_bodies (created_at);

create table send_attempts (
    message_id    uuid not null references message_tracking (id) on delete cascade,
    attempt       integer not null check (attempt > 0),
    wamid         text,
    started_at    timestamptz not null default now(),
    finished_at   timestamptz,
    outcome       text check (outcome in ('sent', 'failed', 'ambiguous', 'abandoned')),
    http_status   integer,
    error_code    text,
    error_message text,
    message_status text,
    primary key (message_id, attempt)
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
create unique index send_attempts_one_open
    on send_attempts (message_id) where outcome is null or outcome = 'sent';
create index send_attempts_wamid on send_attempts (wamid) where wamid is not null;
create index send_attempts_age on send_attempts (started_at);

create table status_events (
    id                 bigint generated always as identity primary key,
    source             text not null default 'whatsapp',
    wamid              text,
    message_id         uuid references message_tracking (id) on delete set null,
    genesys_message_id text,
    callback_data      text,
    reference          text generated always as (coalesce(wamid, callback_data, genesys_message_id)) stored,
    status             text not null,
    occurred_at        timestamptz not null default now(),
    received_at        timestamptz not null default now(),
    outcome            text check (
        outcome in ('applied', 'implied', 'duplicate', 'late', 'rejected', 'unmatched', 'ignored')),
    errors             jsonb,
    details            jsonb,
    -- Of one that waits for its message: should it never apply, it dies as it was published.
    raw_body           bytea,
    raw_headers        jsonb
) with (fillfactor = 85,
        autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02,
        autovacuum_vacuum_insert_scale_factor = 0.05);
create unique index status_events_once on status_events (reference, status, occurred_at, source);
create index status_events_message on status_events (message_id) where message_id is not null;
create index status_events_callback
    on status_events (callback_data) where callback_data is not null and message_id is null;
create index status_events_genesys_id
    on status_events (genesys_message_id) where genesys_message_id is not null and message_id is null;
create index status_events_waiting on status_events (received_at, id) where message_id is null;
create index status_events_age on status_events (received_at);

create table broadcast_recipients (
    id           bigint generated always as identity primary key,
    campaign_id  text not null references broadcast_campaigns (id) on delete cascade,
    wa_id        customer_address not null,
    variables    jsonb,
    status       text not null default 'pending'
                 check (status in ('pending', 'queued', 'sent', 'delivered', 'read', 'failed', 'skipped')),
    wamid        text,
    message_id   uuid references message_tracking (id) on delete set null,
    error_code   text,
    skip_reason  text,
    queued_at    timestamptz,
    refused_at   timestamptz,
    sent_at      timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    updated_at   timestamptz not null default now(),
    unique (campaign_id, wa_id)
) with (fillfactor = 80);
-- Whose recipients are written first gets its row, a draft, which the launch fills.
create function open_draft() returns trigger
language plpgsql
as $$
begin
    insert into broadcast_campaigns (id, status) values (new.campaign_id, 'draft') on conflict do nothing;
    return new;
end
$$;
create trigger broadcast_recipients_draft before insert on broadcast_recipients
    for each row execute function open_draft();
create index broadcast_recipients_open
    on broadcast_recipients (campaign_id, status, id) where status in ('pending', 'queued');
create index broadcast_recipients_message on broadcast_recipients (message_id) where message_id is not null;
create index broadcast_recipients_customer on broadcast_recipients (wa_id);
create index broadcast_recipients_wamid on broadcast_recipients (wamid) where wamid is not null;

create table outbox_events (
    id             uuid primary key default time_ordered_uuid(),
    aggregate_id   text not null default '',
    aggregate_type text not null default '',
    event_type     text not null default '',
    payload        jsonb not null default '{}',
    -- So that a claim of many knows how much it takes without reading it.
    payload_bytes  integer not null generated always as (octet_length(payload::text)) stored,
    correlation_id text,
    event_version  integer not null default 1,
    exchange       text not null default 'wa.events',
    routing_key    text,
    -- Where it goes, as far as queues differ: a lane's many keys are one destination.
    destination    text not null generated always as (
        exchange || ' ' || case when exchange = 'wa.outbound'
                                then split_part(coalesce(routing_key, event_type), '.', 1)
                                else coalesce(routing_key, event_type) end) stored,
    claimed_until  timestamptz,
    published_at   timestamptz,
    created_at     timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
create index outbox_events_unmarked on outbox_events (destination, created_at, id) where published_at is null;
create index outbox_events_age on outbox_events (created_at);
-- A hash: each event is marked once, which writes a second entry, and a btree's cost a quarter of an event.
create index outbox_events_trace on outbox_events using hash (correlation_id) where aggregate_type = 'message';

create table deferred_messages (
    id              uuid primary key default time_ordered_uuid(),
    seq             bigint generated always as identity,
    queue           text not null,
    exchange        text not null,
    routing_key     text not null,
    body            bytea not null,
    headers         jsonb not null default '{}',
    reason          text not null,
    -- Null: until the event that the reason names.
    not_before      timestamptz,
    -- From then on it goes whatever holds it: it has expired, or its campaign takes it back.
    ends_at         timestamptz,
    message_id      uuid references message_tracking (id) on delete cascade,
    message_seq     bigint,
    phone_number_id text,
    customer        text,
    lane            text,
    published_until timestamptz,
    created_at      timestamptz not null default now()
);
create unique index deferred_messages_message on deferred_messages (message_id) where message_id is not null;
create index deferred_messages_due
    on deferred_messages (queue, (coalesce(phone_number_id, '')), not_before, seq)
    where not_before is not null and reason <> 'ambiguous';
create index deferred_messages_ending on deferred_messages (queue, ends_at) where ends_at is not null;
create index deferred_messages_reason on deferred_messages (reason, not_before, seq);
create index deferred_messages_behind
    on deferred_messages (phone_number_id, customer, lane, message_seq)
    where not_before is null and reason = 'earlier_message';
create index deferred_messages_customer on deferred_messages (phone_number_id, customer, lane);

create table dead_letter_queue (
    id            uuid primary key default time_ordered_uuid(),
    dedupe_key    text collate "C",
    source_queue  text not null default '',
    exchange      text,
    routing_key   text,
    reason        text not null default 'unexpected_error' check (reason in (
        'lock_timeout', 'mapping_not_found', 'invalid_payload', 'state_violation', 'mapping_status_expired',
        'mapping_status_closed', 'database_error', 'invalid_media_url', 'send_rejected', 'send_ambiguous',
        'max_retries_exceeded', 'expired', 'unrouted', 'delivery_limit', 'unexpected_error')),
    error_message text,
    payload       jsonb,
    raw_body      bytea not null default '',
    headers       jsonb not null default '{}',
    attempts      integer not null default 0,
    priority      integer not null default 0,
    message_id    uuid references message_tracking (id) on delete set null,
    replay_of     uuid references dead_letter_queue (id) on delete set null,
    metadata      jsonb,
    status        text not null default 'pending'
                  check (status in ('pending', 'replaying', 'replayed', 'dismissed')),
    claimed_until timestamptz,
    created_at    timestamptz not null default now(),
    replayed_at   timestamptz,
    dismissed_at  timestamptz,
    resolved_by   text,
    resolution    text,
    replay_count  integer not null default 0,
    -- False where it has gone back by itself as often as it may.
    automatic     boolean not null default true,
    -- True where the failure of its message is kept back, because it goes back by itself.
    untold        boolean not null default false
);
create unique index dead_letter_queue_once on dead_letter_queue (dedupe_key);
create index dead_letter_queue_open
    on dead_letter_queue (priority desc, created_at) where status in ('pending', 'replaying');
create index dead_letter_queue_pending on dead_letter_queue (reason) where status = 'pending';
create index dead_letter_queue_automatic
    on dead_letter_queue (priority desc, created_at)
    where automatic and reason in ('lock_timeout', 'database_error') and status in ('pending', 'replaying');
create index dead_letter_queue_untold on dead_letter_queue (id)
    where untold and (status = 'dismissed' or (not automatic and status <> 'replayed'));
create index dead_letter_queue_settled
    on dead_letter_queue (coalesce(replayed_at, dismissed_at, created_at)) where status in ('replayed', 'dismissed');
create index dead_letter_queue_message on dead_letter_queue (message_id) where message_id is not null;
create index dead_letter_queue_replay on dead_letter_queue (replay_of) where replay_of is not null;
-- Cut, because what is dead may be invalid, and no index takes a value of any length.
create index dead_letter_queue_wamid on dead_letter_queue (left(payload ->> 'wamid', 255));
create index dead_letter_queue_trace on dead_letter_queue ((metadata ->> 'correlation_id'));
create index dead_letter_queue_customer on dead_letter_queue (left(payload ->> 'wa_id', 160));

create table leases (
    name       text primary key,
    owner      uuid not null,
    expires_at timestamptz not null
);

create table rows_set_aside (
    job     text not null,
    row_key text not null,
    reason  text not null,
    since   timestamptz not null default now(),
    primary key (job, row_key)
);

create table audit_log (
    id      bigint generated always as identity primary key,
    at      timestamptz not null default now(),
    actor   text not null,
    action  text not null,
    subject text not null,
    details jsonb
);
