-- name: ensure_circuits
-- A row for each number that we know of: the settings name it ($2), an operator or the platform has spoken of it,
-- or a message of it has a wamid, so that the platform knows it. All others share one ($3): whatever publishers
-- invent, there are no more rows than numbers.
insert into circuit_breakers (service)
select distinct case when known then number else $3 end
from (
    select number,
           number = any($2::text[])
           or exists (select from circuit_breakers where service = number)
           or exists (select from business_numbers where phone_number_id = number)
           or exists (select from (select id from conversation_mappings
                                   where phone_number_id = number and status = 'active'
                                   limit 100) as mapping
                      join message_tracking as tracked on tracked.mapping_id = mapping.id
                      where tracked.wamid is not null) as known
    from unnest($1::text[]) as asked (number)
) as row
order by 1
on conflict (service) do nothing;

-- name: find_circuits
-- The breaker of each number, and whether an answered request changes it.
select asked.number, coalesce(own.service, $2) as service,
       coalesce(circuit.state <> 'open' and (circuit.failures > 0 or circuit.state = 'half_open'), false) as disturbed
from unnest($1::text[]) as asked (number)
left join circuit_breakers as own on own.service = asked.number
left join circuit_breakers as circuit on circuit.service = coalesce(own.service, $2);

-- name: lock_circuits
-- In one order, whatever is done with each.
select service, state, failures, failed_messages, probes,
       coalesce(extract(epoch from now() - opened_at), 0)::float8 as open_for_s,
       coalesce(extract(epoch from probes_until - now()), 0)::float8 as probe_lease_s
from circuit_breakers
where service = any($1::text[])
order by service
for update;

-- name: write_circuit
update circuit_breakers
set state = $2, failures = $3, failed_messages = $4::uuid[], probes = $5,
    opened_at = case when $2 = 'closed' then null else now() - $6::interval end,
    probes_until = case when $2 = 'half_open' then now() + $7::interval end,
    successes = case when $2 = 'closed' and state <> 'closed' then successes + 1 else successes end,
    updated_at = now()
where service = $1;
