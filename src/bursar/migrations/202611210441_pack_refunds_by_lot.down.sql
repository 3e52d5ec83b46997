drop index pack_refund_lot;
