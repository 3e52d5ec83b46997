alter table refund
  drop constraint refund_told, drop constraint refund_asked, drop column same_as, drop column failure, drop column asked_reason, drop column asked_by,
  drop column is_asked;
delete from refund where gateway_ref is null;
alter table refund alter column gateway_ref set not null;
alter table payment drop constraint payment_promises, drop column promised_minor, drop column promisable_minor;
drop table gateway_call;
