drop table external_user;
drop table identity_issuer;
