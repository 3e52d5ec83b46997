-- What of the money for a seat is paid to book it, in per cent; null: all of it. A booking keeps it as it was when it was made.
alter table class_template add column deposit_percent integer check (deposit_percent between 1 and 99);
alter table class_instance add column deposit_percent integer check (deposit_percent between 1 and 99);
alter table booking add column deposit_percent integer check (deposit_percent between 1 and 99);
alter table booking add constraint booking_deposit_of_price check (deposit_percent is null or price_minor is not null);
