-- Who a customer is: one person with one or more addresses, named by `customer_profiles.phone`.
-- Rows of before keep `customer` null until the scheduler has read them: there it is their `wa_id`.

-- A phone as WhatsApp itself writes it, one key for all its notations; ids as they are. The same rule stands in
-- shared/messaging/customers/notation.py, and a test holds both together.
create function platform_notation(address text) returns text
language sql immutable parallel safe
as $$
    select case
        when address ~ '^55[1-9][0-9]9?[6-9][0-9]{7}$' then
            left(address, 4) || case when substr(address, 3, 2) <= '30' then '9' else '' end || right(address, 8)
        when address ~ '^521?[2-9][0-9]{9}$' then '521' || right(address, 10)
        when address ~ '^549?[1-8][0-9]{9}$' then '549' || right(address, 10)
        else address
    end
$$;

-- The notation that WhatsApp does not use, of a number in its own; null where there is no other.
create function other_notation(address text) returns text
language sql immutable parallel safe
as $$
    select case
        when address ~ '^55[1-9][0-9]9[6-9][0-9]{7}$' then left(address, 4) || right(address, 8)
        when address ~ '^55[1-9][0-9][6-9][0-9]{7}$' then left(address, 4) || '9' || right(address, 8)
        when address ~ '^521[2-9][0-9]{9}$' then '52' || right(address, 10)
        when address ~ '^549[1-8][0-9]{9}$' then '54' || right(address, 10)
    end
$$;

create table customer_addresses (
    address       customer_address primary key,
    phone         customer_address not null,
    kind          text not null check (kind in ('phone', 'bsuid', 'parent_bsuid')),
    source        text not null check (source in ('inbound', 'answer', 'status', 'system', 'rule', 'operator')),
    first_seen_at timestamptz not null default now(),
    last_seen_at  timestamptz not null default now(),
    -- Their person gave it up: whoever writes from it later is somebody new.
    released_at   timestamptz,
    -- Their person has it since then, in place of one that they gave up.
    moved_at      timestamptz,
    -- Whoever had it until then has been at this other one since.
    left_for      customer_address,
    left_at       timestamptz,
    -- Why something that was told about it was not followed.
    doubt         text check (
        doubt in ('two_phones', 'shared_device', 'own_number', 'no_new_address', 'stale', 'unlinked')),
    doubted_at    timestamptz
) with (fillfactor = 85);
create index customer_addresses_customer on customer_addresses (phone);
create index customer_addresses_left on customer_addresses (left_for) where left_for is not null;

create function customer_of(address text) returns text
language sql stable strict parallel safe
as $$
    select coalesce(
        (select owner.phone from customer_addresses as owner
         where owner.address = platform_notation($1) and owner.released_at is null),
        platform_notation($1))
$$;

alter table conversation_mappings add column customer customer_address;
create unique index conversation_mappings_one_a_customer
    on conversation_mappings (phone_number_id, (coalesce(customer, wa_id))) where status = 'active';
create index conversation_mappings_person on conversation_mappings ((coalesce(customer, wa_id)), created_at);
create index conversation_mappings_unnamed on conversation_mappings (id) where customer is null;

alter table broadcast_recipients add column customer customer_address;
create index broadcast_recipients_person on broadcast_recipients ((coalesce(customer, wa_id)), campaign_id);
create index broadcast_recipients_unnamed on broadcast_recipients (id) where customer is null;

-- Profiles of before that another notation names: of a refusal there nobody would know.
create index customer_profiles_misnamed on customer_profiles (phone) where phone <> platform_notation(phone);

-- Workers of before name nobody, and know a conversation by its address alone: where another address of theirs has
-- one already, they open a second, and the scheduler joins the two. Of these, one may have no name and goes by its
-- address, for a name stands once.
create function name_customer() returns trigger
language plpgsql
as $$
declare
    named text := customer_of(new.wa_id);
    tried uuid;
begin
    if exists (
        select from conversation_mappings as own
        where own.phone_number_id = new.phone_number_id and own.wa_id = new.wa_id and own.status = 'active'
    ) then
        return new;
    end if;
    -- Whoever opens theirs at this moment is waited for: after a look alone it would be a unique violation.
    insert into conversation_mappings (phone_number_id, wa_id, customer)
    values (new.phone_number_id, new.wa_id, named)
    on conflict do nothing
    returning id into tried;
    if tried is not null then
        delete from conversation_mappings where id = tried;
        new.customer := named;
    elsif new.wa_id = named then
        update conversation_mappings
        set customer = null
        where phone_number_id = new.phone_number_id and customer = named and wa_id <> named and status = 'active';
    end if;
    return new;
end
$$;
create trigger conversation_mappings_name_customer before insert on conversation_mappings
    for each row when (new.customer is null and new.wa_id is not null and new.status = 'active') execute function name_customer();

-- A conversation that is opened while its customer is joined with another must not keep the name that went. A row to
-- hold on to is made where there is none: whoever joins makes it too, and one of the two waits for the other.
create function hold_customer() returns trigger
language plpgsql
as $$
declare
    holder customer_addresses;
begin
    select * into holder from customer_addresses as owner where owner.address = new.customer for key share;
    if not found then
        insert into customer_addresses (address, phone, kind, source)
        values (new.customer, new.customer,
                case when new.customer ~ '^[0-9]' then 'phone'
                     when new.customer ~ '^..[.]ENT[.]' then 'parent_bsuid'
                     else 'bsuid' end,
                'rule')
        on conflict (address) do nothing;
        select * into holder from customer_addresses as owner where owner.address = new.customer for key share;
    end if;
    if holder.phone <> new.customer and holder.released_at is null then
        raise exception 'the customer of this conversation was joined with another meanwhile'
            using errcode = 'serialization_failure';
    end if;
    return null;
end
$$;
create trigger conversation_mappings_hold_customer after insert on conversation_mappings
    for each row when (new.customer is not null) execute function hold_customer();
