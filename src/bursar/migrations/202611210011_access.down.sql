grant update on api_key to bursar_app;
drop table role;
alter table api_key
  drop constraint api_key_successor_other,
  drop constraint api_key_successor,
  drop constraint api_key_name_length,
  drop column successor_id,
  drop column last_used_address,
  drop column last_used_at,
  drop column expires_at,
  drop column allowed_addresses,
  drop column scopes;
