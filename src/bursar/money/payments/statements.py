"""The statements of `recording`: one for each table, each bringing many rows to a given state."""


def _upsert(table: str, columns: dict[str, str], *, returning: str, keep: tuple[str, ...] = ()) -> str:
    """Build `insert … on conflict (gateway id) do update … where distinct`.

    columns: name to SQL type, in the order of the parameters after tenant and account. keep: set only on insert.
    """
    names = list(columns)
    arrays = ", ".join(f"${i}::{kind}[]" for i, kind in enumerate(columns.values(), start=3))
    picked = ", ".join(f"{name}::jsonb" if name == "lines" else name for name in names)
    changing = [name for name in names if name not in ("id", "gateway_ref", *keep)]
    return f"""
insert into {table} (tenant_id, gateway_account_id, {", ".join(names)})
select $1, $2, {picked} from unnest({arrays}) as new ({", ".join(names)}) order by gateway_ref
on conflict (tenant_id, gateway_account_id, gateway_ref) do update
set {", ".join(f"{name} = excluded.{name}" for name in changing)}
where ({", ".join(f"{table}.{name}" for name in changing)}) is distinct from ({", ".join(f"excluded.{name}" for name in changing)})
returning {returning}
"""


PURCHASES = """
insert into purchase as p (tenant_id, gateway_account_id, id, customer_id, subscription_ref, leans_on_subscription, is_paid, is_disputed,
  paid_minor, refunded_minor, lost_minor, currency, paid_at, period_start, lines, unmatched_reason, unmatched_refs)
select $1, $2, id, customer_id, subscription_ref, leans_on_subscription, is_paid, is_disputed, paid_minor, refunded_minor, lost_minor,
  currency, paid_at, period_start, lines::jsonb, unmatched_reason,
  case when unmatched_refs = '[]' then '{}' else array(select jsonb_array_elements_text(unmatched_refs::jsonb)) end
from unnest($3::uuid[], $4::uuid[], $5::text[], $6::bool[], $7::bool[], $8::bool[], $9::bigint[], $10::bigint[], $11::bigint[],
  $12::text[], $13::timestamptz[], $14::timestamptz[], $15::text[], $16::text[], $17::text[])
  as new (id, customer_id, subscription_ref, leans_on_subscription, is_paid, is_disputed, paid_minor, refunded_minor, lost_minor,
    currency, paid_at, period_start, lines, unmatched_reason, unmatched_refs)
on conflict (tenant_id, id) do update
set customer_id = excluded.customer_id, subscription_ref = excluded.subscription_ref,
    leans_on_subscription = excluded.leans_on_subscription, is_paid = excluded.is_paid, is_disputed = excluded.is_disputed,
    paid_minor = excluded.paid_minor, refunded_minor = excluded.refunded_minor, lost_minor = excluded.lost_minor,
    currency = excluded.currency, paid_at = excluded.paid_at, period_start = excluded.period_start, lines = excluded.lines,
    unmatched_reason = excluded.unmatched_reason, unmatched_refs = excluded.unmatched_refs, touched_at = clock_timestamp()
"""

PAYMENTS = (
    _upsert(
        "payment",
        {
            "id": "uuid",
            "gateway_ref": "text",
            "charge_ref": "text",
            "purchase_id": "uuid",
            "customer_id": "uuid",
            "status": "text",
            "amount_minor": "bigint",
            "currency": "text",
            "refunded_minor": "bigint",
            "is_disputed": "bool",
            "failure_code": "text",
            "failure_message": "text",
            "description": "text",
            "created_at": "timestamptz",
        },
        returning="id, purchase_id, gateway_ref, status, amount_minor, currency, refunded_minor, is_disputed",
    )
    .replace("do update\nset ", "do update\nset updated_at = clock_timestamp(), superseded_by = null, ")
    .replace("\nreturning", " or payment.superseded_by is not null\nreturning")
)

# Whoever writes our id beside another payment at the gateway takes nothing: the id goes to one payment, of the account that was asked.
ASKED_PAYMENTS = """
select a.id, n.ref from unnest($3::uuid[], $4::text[]) as n (id, ref)
join asked_payment a on a.tenant_id = $1 and a.id = n.id
where a.gateway_account_id = $2 and (a.gateway_ref is null or a.gateway_ref = n.ref)
  and not exists (select from payment p where p.tenant_id = $1 and p.id = n.id)
"""

PAYMENTS_OF_PURCHASES = """
select p.id, wanted.id as purchase_id, p.gateway_ref, p.superseded_by
from unnest($2::uuid[]) as wanted (id) cross join lateral (
  select id, gateway_ref, superseded_by from payment where tenant_id = $1 and purchase_id = wanted.id offset 0
) p
"""

RETIRE_PAYMENTS = """
update payment as p set superseded_by = r.heir, updated_at = clock_timestamp()
from unnest($2::uuid[], $3::uuid[]) as r (gone, heir)
where p.tenant_id = $1 and p.id = r.gone
"""

REFUNDS = _upsert(
    "refund",
    {
        "id": "uuid",
        "gateway_ref": "text",
        "purchase_id": "uuid",
        "payment_id": "uuid",
        "status": "text",
        "amount_minor": "bigint",
        "currency": "text",
        "reason": "text",
        "created_at": "timestamptz",
    },
    returning="id, purchase_id, gateway_ref, status, amount_minor, currency",
)

# A refund that we asked for becomes the one that is reported, unless that was told of before without our id: then it is another
# name of it. Whoever writes our id beside a refund of another payment changes nothing.
_ASKED = """refund as r
from unnest($3::uuid[], $4::text[], $5::uuid[]) as n (id, ref, payment_id), payment as p"""
_OF_ITS_PAYMENT = """r.tenant_id = $1 and r.id = n.id and r.gateway_account_id = $2 and r.is_asked and r.gateway_ref is null and r.same_as is null
  and p.tenant_id = $1 and p.id = r.payment_id and (p.id = n.payment_id or p.superseded_by = n.payment_id)"""

LINK_REFUNDS = f"""
update {_ASKED.replace("refund as r", "refund as r set gateway_ref = n.ref")}
where {_OF_ITS_PAYMENT}
  and not exists (select from refund o where o.tenant_id = $1 and o.gateway_account_id = $2 and o.gateway_ref = n.ref)
"""

NAME_REFUNDS = f"""
update {_ASKED.replace("refund as r", "refund as r set same_as = o.id")}, refund as o
where {_OF_ITS_PAYMENT}
  and o.tenant_id = $1 and o.gateway_account_id = $2 and o.gateway_ref = n.ref and o.id <> r.id
"""

# The payments are locked by what wrote them before, in a statement before this one, so that no promise is made meanwhile.
COUNT_PROMISES = """
update payment as p set promised_minor = s.minor, promisable_minor = greatest(p.promisable_minor, s.minor)
from unnest($2::uuid[]) as t (id) cross join lateral (
  select coalesce(sum(r.amount_minor), 0)::bigint as minor from refund r
  where r.tenant_id = $1 and r.payment_id = t.id and r.is_asked and r.status = 'pending' and r.same_as is null offset 0
) s
where p.tenant_id = $1 and p.id = t.id and p.promised_minor <> s.minor
"""

DISPUTES = _upsert(
    "dispute",
    {
        "id": "uuid",
        "gateway_ref": "text",
        "purchase_id": "uuid",
        "payment_id": "uuid",
        "status": "text",
        "is_inquiry": "bool",
        "amount_minor": "bigint",
        "currency": "text",
        "reason": "text",
        "due_by": "timestamptz",
        "withdrawn_minor": "bigint",
        "reinstated_minor": "bigint",
        "created_at": "timestamptz",
    },
    returning="id, purchase_id, gateway_ref, status, amount_minor, currency, withdrawn_minor, reinstated_minor",
)

INVOICES = _upsert(
    "invoice",
    {
        "id": "uuid",
        "gateway_ref": "text",
        "purchase_id": "uuid",
        "customer_id": "uuid",
        "subscription_ref": "text",
        "number": "text",
        "status": "text",
        "total_minor": "bigint",
        "paid_minor": "bigint",
        "currency": "text",
        "billing_reason": "text",
        "lines": "text",
        "due_at": "timestamptz",
        "paid_at": "timestamptz",
        "created_at": "timestamptz",
    },
    returning="id, purchase_id, gateway_ref, status, total_minor, paid_minor, currency",
)

SESSIONS = _upsert(
    "checkout_session",
    {
        "id": "uuid",
        "gateway_ref": "text",
        "purchase_id": "uuid",
        "customer_id": "uuid",
        "mode": "text",
        "status": "text",
        "payment_status": "text",
        "amount_minor": "bigint",
        "currency": "text",
        "expires_at": "timestamptz",
        "created_at": "timestamptz",
    },
    returning="id",
)
