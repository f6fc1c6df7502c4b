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
alter table customer_profiles add column language text;

-- Facts of a shop. What it says of carts, orders, products and customers: a row shows the greatest fact of its set,
-- whose stamp stands beside it: `source_version`, `source_updated_at`, `source_hash`. No index holds a column that
-- ordinary updates change.

-- Money as it was written: never rounded, never negative. Amounts of different currencies are never added.
create domain exact_money as numeric
    constraint exact_money_form check (value >= 0 and value < 1000000000000000 and scale(value) <= 4);

alter table customer_profiles
    add column source_shop        text,
    add column wc_customer_id     text,
    add column email              text,
    add column last_known_address jsonb,
    add column saved_addresses    jsonb,
    add column tags               jsonb,
    add column total_orders       integer not null default 0 check (total_orders >= 0),
    add column total_spent        exact_money not null default 0,
    add column currency           text,
    add column timezone           text,
    add column source_version     bigint,
    add column source_updated_at  timestamptz,
    add column source_hash        bytea;
create index customer_profiles_shop_customer on customer_profiles (source_shop, wc_customer_id)
    where wc_customer_id is not null;

create table carts (
    id                   uuid primary key default time_ordered_uuid(),
    shop_id              text not null,
    cart_id              text not null,
    customer_phone       customer_address,
    -- Of the greatest fact that named the customer: bytes that compare as stamps do.
    customer_stamp       bytea,
    phone_number_id      text,
    items                jsonb not null default '[]',
    items_hash           bytea not null,
    total                exact_money not null default 0,
    currency             text,
    coupon_code          text,
    shipping_address     jsonb,
    cart_url             text,
    status               text not null default 'active'
                         check (status in ('active', 'abandoned', 'recovered', 'converted', 'expired')),
    status_reason        text,
    round                integer not null default 1 check (round > 0),
    last_activity_at     timestamptz not null default now(),
    -- A hint for the scheduler: written when the cart opens and when a step was looked at, never by activity.
    next_step_at         timestamptz,
    reminder_1_sent_at   timestamptz,
    reminder_2_sent_at   timestamptz,
    reminder_3_sent_at   timestamptz,
    stopped_at           timestamptz,
    stop_reason          text,
    abandoned_at         timestamptz,
    recovered            boolean not null default false,
    recovered_order_id   text,
    recovered_revenue    exact_money,
    recovered_at         timestamptz,
    -- By the shop's clock: what the cart holds some time after that is a new cart.
    bought_at            timestamptz,
    holdout              boolean not null default false,
    closed_at            timestamptz,
    source_version       bigint not null default 0,
    source_updated_at    timestamptz not null,
    source_hash          bytea not null,
    revision             bigint not null default 1,
    created_at           timestamptz not null default now(),
    updated_at           timestamptz not null default now(),
    constraint carts_closed check ((closed_at is null) = (status in ('active', 'abandoned')))
) with (fillfactor = 80);
-- Open carts are those that are not closed: an index on the status would end heap-only updates.
create unique index carts_one_open on carts (shop_id, cart_id) where closed_at is null;
create unique index carts_one_a_customer on carts (shop_id, customer_phone) where closed_at is null;
create index carts_due on carts (next_step_at) where next_step_at is not null;
create index carts_of_shop on carts (shop_id, cart_id, created_at);
create index carts_customer on carts (customer_phone) where customer_phone is not null;
create index carts_left on carts (created_at) where closed_at is null and next_step_at is null;
create index carts_closed_age on carts (closed_at) where closed_at is not null;

create table orders (
    shop_id           text not null,
    order_id          text not null,
    customer_phone    customer_address,
    customer_stamp    bytea,
    status            text not null default 'pending' check (status in (
        'pending', 'on_hold', 'processing', 'shipped', 'delivered', 'completed',
        'failed', 'cancelled', 'refunded', 'deleted')),
    order_number      text,
    total             exact_money,
    currency          text,
    refunds           jsonb not null default '{}',
    refunded_told     exact_money not null default 0,
    refunded_total    exact_money not null default 0,
    items             jsonb not null default '[]',
    cart_id           text,
    coupon_codes      jsonb not null default '[]',
    trackings         jsonb not null default '{}',
    whatsapp          boolean not null default true,
    placed_at         timestamptz,
    -- What the customer's profile holds of this order.
    counted_phone     customer_address,
    counted_orders    integer not null default 0 check (counted_orders in (0, 1)),
    counted_spent     exact_money not null default 0,
    -- All null while only a shipment or a refund of it is known.
    source_version    bigint,
    source_updated_at timestamptz,
    source_hash       bytea,
    revision          bigint not null default 1,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    primary key (shop_id, order_id)
) with (fillfactor = 80);
create index orders_customer on orders (customer_phone) where customer_phone is not null;
create index orders_counted on orders (counted_phone) where counted_phone is not null;
create index orders_cart on orders (shop_id, cart_id) where cart_id is not null;

create table products (
    shop_id             text not null,
    product_id          text not null,
    name                text,
    price               exact_money,
    currency            text,
    in_stock            boolean,
    stock_quantity      integer,
    -- As the stock keeper counts it, beside what the product says.
    inventory_quantity  integer,
    url                 text,
    image_url           text,
    source_version      bigint,
    source_updated_at   timestamptz,
    source_hash         bytea,
    inventory_version    bigint,
    inventory_updated_at timestamptz,
    inventory_hash       bytea,
    deleted_at          timestamptz,
    revision            bigint not null default 1,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    primary key (shop_id, product_id)
) with (fillfactor = 80);

create table product_views (
    id             bigint generated always as identity primary key,
    shop_id        text not null,
    customer_phone customer_address not null,
    product_id     text not null,
    viewed_at      timestamptz not null,
    viewed_hour    timestamptz not null generated always as (
        date_trunc('hour', viewed_at at time zone 'UTC') at time zone 'UTC') stored,
    price_at_view  exact_money,
    currency       text,
    in_stock       boolean,
    created_at     timestamptz not null default now(),
    constraint product_views_once_an_hour unique (customer_phone, shop_id, product_id, viewed_hour)
);
create index product_views_age on product_views (viewed_at);

-- Automatic messages. The ledger of all of them: planned here in the transaction of its cause, before it is sent.
create table notification_log (
    id                uuid primary key default time_ordered_uuid(),
    shop_id           text not null,
    kind              text not null check (kind in ('order', 'cart', 'reengagement', 'request')),
    notification_type text not null,
    dedupe_key        text not null constraint notification_log_once unique,
    order_id          text,
    cart              uuid references carts (id) on delete set null,
    product_id        text,
    customer_phone    customer_address,
    phone_number_id   text,
    category          text not null check (category in ('utility', 'marketing')),
    template_name     text,
    language          text,
    variables         jsonb not null default '{}',
    status            text not null default 'pending' check (status in (
        'pending', 'queued', 'sent', 'delivered', 'read', 'failed', 'skipped')),
    skip_reason       text,
    -- The facts of its last five decisions.
    trace             jsonb not null default '[]',
    attempt           integer not null default 0 check (attempt >= 0),
    retry_count       integer not null default 0 check (retry_count >= 0),
    template_only     boolean not null default false,
    -- When it is looked at; null once it has left or ended, so that moving it on is a heap-only update.
    not_before        timestamptz,
    not_after         timestamptz,
    claimed_until     timestamptz,
    reserved_at       timestamptz,
    message_id        uuid references message_tracking (id) on delete set null,
    wamid             text,
    error_code        text,
    error_message     text,
    sent_at           timestamptz,
    delivered_at      timestamptz,
    read_at           timestamptz,
    revision          bigint not null default 1,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now()
) with (fillfactor = 80);
create index notification_log_due on notification_log (not_before) where not_before is not null;
create index notification_log_queued on notification_log (phone_number_id) where status = 'queued';
create index notification_log_customer on notification_log (customer_phone, reserved_at);
create index notification_log_order on notification_log (order_id) where order_id is not null;
create index notification_log_cart on notification_log (cart) where cart is not null;
create index notification_log_message on notification_log (message_id) where message_id is not null;
create index notification_log_age on notification_log (created_at);

-- What a cart or reengagement notice brought: one row each, under the notice's id.
create table reengagement (
    id                  uuid primary key,
    shop_id             text not null,
    customer_phone      customer_address not null,
    campaign_type       text not null check (campaign_type in (
        'cart_reminder', 'product_reminder', 'back_in_stock', 'price_drop', 'loyalty_reward', 'we_miss_you')),
    product_id          text,
    sent_at             timestamptz,
    converted           boolean not null default false,
    conversion_order_id text,
    conversion_revenue  exact_money,
    currency            text,
    converted_at        timestamptz,
    created_at          timestamptz not null default now()
) with (fillfactor = 85);
create unique index reengagement_one_credit on reengagement (shop_id, conversion_order_id) where converted;
create index reengagement_customer on reengagement (customer_phone, sent_at);
create index reengagement_age on reengagement (created_at);
