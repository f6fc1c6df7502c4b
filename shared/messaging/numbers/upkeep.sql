-- name: count_paused_numbers
select count(*) from business_numbers where state = 'paused';

-- name: read_paused_numbers
-- The first hundred, and since when: publishers may invent numbers, and the platform has each of them paused.
select phone_number_id, extract(epoch from since)::float8 from business_numbers where state = 'paused'
order by since, phone_number_id
limit 100;

-- name: read_circuits
select service, state from circuit_breakers;
