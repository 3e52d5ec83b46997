-- What somebody wanted when he said that an address is his: a seat in a full class, as soon as he has shown it.
alter table visitor_sign_in
  add class_id uuid,
  add name text check (length(name) between 1 and 120),
  add constraint visitor_sign_in_class foreign key (tenant_id, class_id) references class_instance (tenant_id, id),
  add constraint visitor_sign_in_wish check ((class_id is null) = (name is null));
