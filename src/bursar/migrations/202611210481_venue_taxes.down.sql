alter table booking drop constraint booking_tax_of_price;
alter table booking drop column tax_bp, drop column tax_included, drop column tax_minor;
alter table venue drop column tax_bp, drop column tax_included;
