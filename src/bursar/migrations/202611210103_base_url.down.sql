alter table gateway_account drop column base_url;
