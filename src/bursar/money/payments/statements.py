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
update purchase as p
set customer_id = new.customer_id, subscription_ref = new.subscription_ref, leans_on_subscription = new.leans_on_subscription,
    is_paid = new.is_paid, is_disputed = new.is_disputed, paid_minor = new.paid_minor, refunded_minor = new.refunded_minor,
    lost_minor = new.lost_minor, currency = new.currency, paid_at = new.paid_at, period_start = new.period_start,
    lines = new.lines::jsonb, unmatched_reason = new.unmatched_reason,
    unmatched_refs = array(select jsonb_array_elements_text(new.unmatched_refs::jsonb)), touched_at = clock_timestamp()
from unnest($2::uuid[], $3::uuid[], $4::text[], $5::bool[], $6::bool[], $7::bool[], $8::bigint[], $9::bigint[], $10::bigint[],
  $11::text[], $12::timestamptz[], $13::timestamptz[], $14::text[], $15::text[], $16::text[])
  as new (id, customer_id, subscription_ref, leans_on_subscription, is_paid, is_disputed, paid_minor, refunded_minor, lost_minor,
    currency, paid_at, period_start, lines, unmatched_reason, unmatched_refs)
where p.tenant_id = $1 and p.id = new.id
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

PAYMENTS_OF_PURCHASES = """
select id, purchase_id, gateway_ref, superseded_by from payment where tenant_id = $1 and purchase_id = any($2::uuid[])
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
