alter table booking drop constraint booking_deposit_of_price;
alter table booking drop column deposit_percent;
alter table class_instance drop column deposit_percent;
alter table class_template drop column deposit_percent;
