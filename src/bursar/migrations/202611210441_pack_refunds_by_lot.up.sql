-- The running check asks for the refunds of packs whose lots changed.
create index pack_refund_lot on pack_refund (tenant_id, lot_id);
