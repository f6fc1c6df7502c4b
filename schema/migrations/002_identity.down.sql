drop trigger conversation_mappings_hold_customer on conversation_mappings;
drop trigger conversation_mappings_name_customer on conversation_mappings;
drop function hold_customer();
drop function name_customer();
drop index customer_profiles_misnamed, broadcast_recipients_unnamed, broadcast_recipients_person, conversation_mappings_unnamed,
    conversation_mappings_person, conversation_mappings_one_a_customer;
alter table broadcast_recipients drop column customer;
alter table conversation_mappings drop column customer;
drop function customer_of(text);
drop table customer_addresses;
drop function other_notation(text);
drop function platform_notation(text);
