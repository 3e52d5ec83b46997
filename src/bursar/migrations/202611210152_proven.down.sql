alter table session drop column proven_at;
