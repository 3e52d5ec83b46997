-- Where an account's gateway is, instead of the gateway's own address: the sandbox, and doubles in tests.
alter table gateway_account add column base_url text
  constraint gateway_account_base_url check (length(base_url) <= 255 and base_url ~ '^https?://');
