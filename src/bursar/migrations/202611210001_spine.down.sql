-- Takes everything of the spine away, data included.
drop table invariant_sweep, outbox, audit_record, ledger_balance, ledger_entry, ledger_transaction,
  licence_activation, licence, entitlement, credit_movement, credit_spend, credit_lot, fulfilment_grant,
  payment_method, checkout_session, invoice, subscription, dispute, refund, payment, customer, customer_order,
  price_gateway_ref, price, product, gateway_object, purchase_ref, purchase, worker_bucket,
  gateway_event_replay, gateway_event_attempt, gateway_event_dead, gateway_event_outcome, gateway_event_queue, gateway_event_differing,
  gateway_event_body, gateway_event, gateway_account, api_key, tenant;
drop function ledger_entries_balance, file_gateway_events;
