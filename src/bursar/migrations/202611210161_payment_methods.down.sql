drop index mail_message_about_once;
alter table mail_message drop column about;
drop index payment_method_expiring;
alter table subscription drop column default_method_ref;
alter table customer drop column default_method_ref;
drop table payment_method_warning, payment_method_change, payment_change, asked_payment;
