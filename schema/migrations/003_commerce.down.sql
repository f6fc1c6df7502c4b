alter table customer_profiles drop column if exists language;
alter table customer_profiles drop column consent_source;
drop table suppressions;
drop table consent_events;
