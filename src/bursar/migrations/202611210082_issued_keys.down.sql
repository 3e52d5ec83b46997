drop index licence_payment;
alter table licence drop column is_withdrawn, drop column payment_ref;
