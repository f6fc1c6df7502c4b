-- name: count_paused_numbers
select count(*) from business_numbers where state = 'paused';

-- name: read_circuits
select service, state from circuit_breakers;
