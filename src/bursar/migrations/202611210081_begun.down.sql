alter table subscription drop column has_begun;
