-- One paid event, as one would write it by hand: read nothing, decide nothing, write the rows that Bursar writes for it.
-- Each client is a business of its own, so that no two transactions wait for one balance.
\set n :n + 1
\set fresh :n % 4
\if :n = 1
select tenant, account, price, customer from bench_client where client = :client_id \gset
\endif
begin;
delete from gateway_event_queue
where tenant_id = :tenant and event_id = ('00000000-0000-7000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid
returning event_id as event \gset
\if :fresh = 1
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, email, created_at)
values (:tenant, uuidv7(), :account, 'cus_' || :n::text, 'someone@example.com', :at) returning id as customer \gset
insert into subscription (tenant_id, id, gateway_account_id, gateway_ref, customer_id, status, created_at)
values (:tenant, uuidv7(), :account, 'sub_1_a00000' || :n::text, :customer, 'incomplete', :at);
\endif
insert into purchase (tenant_id, id, gateway_account_id, customer_id, subscription_ref, is_paid, paid_minor, currency, paid_at, period_start, lines)
values (:tenant, uuidv7(), :account, :customer, 'sub_1_a00000' || :n::text, true, 2000, 'EUR', :at, :at, :lines) returning id as purchase \gset
insert into gateway_object (tenant_id, gateway_account_id, kind, ref, is_final, version_at, version_rank, version_tie, state, purchase_id, event_id)
values (:tenant, :account, 'invoice', 'in_1_a00000' || :n::text, true, :at, 4, :n, :state, :purchase, :event);
insert into purchase_ref (tenant_id, gateway_account_id, ref, purchase_id) values (:tenant, :account, 'invoice.in_1_a00000' || :n::text, :purchase);
\if :fresh = 1
insert into purchase_ref (tenant_id, gateway_account_id, ref, purchase_id) values (:tenant, :account, 'first.sub_1_a00000' || :n::text, :purchase);
\endif
insert into payment (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, customer_id, status, amount_minor, currency, created_at)
values (:tenant, uuidv7(), :account, 'in_1_a00000' || :n::text, :purchase, :customer, 'succeeded', 2000, 'EUR', :at);
insert into invoice (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, customer_id, subscription_ref, number, status, total_minor,
  paid_minor, currency, billing_reason, lines, paid_at, created_at)
values (:tenant, uuidv7(), :account, 'in_1_a00000' || :n::text, :purchase, :customer, 'sub_1_a00000' || :n::text, 'A-' || :n::text, 'paid', 2000, 2000, 'EUR',
  'subscription_cycle', :lines, :at, :at);
insert into fulfilment_grant (tenant_id, id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec, status, paid_minor,
  starts_at, event_id)
values (:tenant, uuidv7(), 'purchase', :purchase, :price, 0, 'credits', :customer, 1, :spec, 'active', 2000, :at,
  :event) returning id as grant \gset
insert into credit_lot (tenant_id, id, grant_id, customer_id, pool, granted, effective_at)
values (:tenant, uuidv7(), :grant, :customer, 'classes', 8, :at) returning id as lot \gset
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount, event_id)
values (:tenant, uuidv7(), :lot, :customer, 'granted', 8, :event);
insert into ledger_transaction (tenant_id, id, gateway_account_id, source_kind, source_ref, sequence, customer_id, event_id, occurred_at)
values (:tenant, uuidv7(), :account, 'payment', 'in_1_a00000' || :n::text, 0, :customer,
  :event, :at) returning id as posting \gset
insert into ledger_entry (tenant_id, transaction_id, account, currency, amount_minor)
values (:tenant, :posting, 'gateway.stripe', 'EUR', 2000), (:tenant, :posting, 'sales', 'EUR', -2000);
insert into ledger_balance (tenant_id, account, currency, balance_minor)
values (:tenant, 'gateway.stripe', 'EUR', 2000), (:tenant, 'sales', 'EUR', -2000)
on conflict (tenant_id, account, currency) do update set balance_minor = ledger_balance.balance_minor + excluded.balance_minor;
insert into audit_record (tenant_id, id, actor, action, event_id, subject, changes)
values (:tenant, uuidv7(), 'gateway', 'event.applied', :event,
  'pay_00000000000000000000000000', :changes);
insert into outbox (tenant_id, id, topic, subject, payload, event_id)
values (:tenant, uuidv7(), 'payment.succeeded', 'pay_00000000000000000000000000', :payload, :event),
  (:tenant, uuidv7(), 'invoice.paid', 'inv_00000000000000000000000000', :payload, :event),
  (:tenant, uuidv7(), 'credits.granted', 'gra_00000000000000000000000000', :payload, :event);
insert into gateway_event_outcome (tenant_id, event_id, run, outcome, attempts)
values (:tenant, :event, 0, 'applied', 1);
commit;
