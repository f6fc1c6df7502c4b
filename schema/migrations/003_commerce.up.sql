-- Consent. What a customer said of marketing and of notifications, and who told it: `customer_profiles` shows the
-- latest of each.
create table consent_events (
    id          uuid primary key default time_ordered_uuid(),
    phone       customer_address not null,
    kind        text not null check (kind in ('marketing', 'notifications')),
    value       boolean not null,
    source      text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null default now(),
    evidence    text,
    -- When the customer was told in the chat that this counts.
    answered_at timestamptz,
    constraint consent_events_once unique (phone, kind, occurred_at, source, value)
);

-- That somebody who was erased had refused: an HMAC of each address they had, under a key that stands elsewhere.
create table suppressions (
    phone_hash bytea not null,
    kind       text not null check (kind in ('marketing', 'notifications')),
    created_at timestamptz not null default now(),
    primary key (phone_hash, kind)
);

alter table customer_profiles add column consent_source text;
alter table customer_profiles add column if not exists language text;
