alter table checkout drop column link_sha256;
drop table buy_link;
drop table theme;
