drop table reengagement;
drop table notification_log;
drop table product_views;
drop table products;
drop table orders;
drop table carts;
drop index customer_profiles_shop_customer;
alter table customer_profiles
    drop column source_shop,
    drop column wc_customer_id,
    drop column email,
    drop column last_known_address,
    drop column saved_addresses,
    drop column tags,
    drop column total_orders,
    drop column total_spent,
    drop column currency,
    drop column timezone,
    drop column source_version,
    drop column source_updated_at,
    drop column source_hash;
drop domain exact_money;
alter table customer_profiles drop column language;
alter table customer_profiles drop column consent_source;
drop table suppressions;
drop table consent_events;
