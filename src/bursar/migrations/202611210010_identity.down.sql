drop table operator_throttle, operator_session, operator_link, operator;
drop table mail_queue, mail_message, sign_in_throttle, session, recovery_code, user_link, tenant_user;
