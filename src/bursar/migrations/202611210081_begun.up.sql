-- Whether any report ever showed a subscription begun: one that ended without grants nothing, not even for the past.
alter table subscription add column has_begun boolean not null default false;
update subscription set has_begun = status <> 'incomplete';
