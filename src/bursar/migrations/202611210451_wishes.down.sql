alter table visitor_sign_in drop column class_id, drop column name;
