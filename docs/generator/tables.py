"""The tables, from a migrated database; the words beside them from the comments of the migrations."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from bursar.kernel.migrations import migrations_in
from generator import markdown

_ABOUT = """
Read from a migrated database. Every table with `tenant_id` has row-level security enabled and forced: a session sees the
rows of the one tenant that its transaction names. Neither of the two roles owns a table: `bursar_app` is one tenant at a time;
`bursar_engine` files deliveries and finds work for all tenants.

Ids are UUIDv7; outside they are text with a prefix. Amounts are minor units. `gateway_event_body` is divided by month.
This page is for reading and support. Do not write to these tables by hand: the API, the commands and replays are the ways in.
"""

_TABLES = """
select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as is_guarded
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname
"""

_COLUMNS = """
select c.relname as of_table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as is_required,
  a.attgenerated <> '' as is_generated, pg_get_expr(d.adbin, d.adrelid) as preset
from pg_attribute a
join pg_class c on c.oid = a.attrelid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and a.attnum > 0 and not a.attisdropped
order by c.relname, a.attnum
"""

_RULES = """
select c.relname as of_table, r.conname as name, r.contype::text as kind, pg_get_constraintdef(r.oid) as text
from pg_constraint r
join pg_class c on c.oid = r.conrelid
where c.relnamespace = 'public'::regnamespace and not c.relispartition and r.contype in ('p', 'u', 'x', 'c', 'f')
order by c.relname, position(r.contype::text in 'puxfc'), r.conname
"""

_RIGHTS = """
select c.relname as of_table, r.rolname as role, string_agg(
    p.word || case when has_table_privilege(r.rolname, c.oid, p.word) then '' else ' of some columns' end, ', ' order by p.place
  ) as rights
from pg_class c
cross join (values ('bursar_app'), ('bursar_engine')) as r (rolname)
cross join (values (1, 'select'), (2, 'insert'), (3, 'update'), (4, 'delete')) as p (place, word)
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and (has_table_privilege(r.rolname, c.oid, p.word)
    or (p.word in ('insert', 'update') and has_any_column_privilege(r.rolname, c.oid, p.word)))
group by c.relname, r.rolname
"""

_PURPOSES = {
    "api_key": "Who may call. Only the SHA-256 of a key's secret is kept.",
    "audit_record": "Who did what: one row for each applied event, and for each act of a key or an operator.",
    "bursar_migration": "Which migrations were applied, with their checksums.",
    "checkout_session": "Hosted checkouts, as last reported.",
    "credit_lot": "Credits of one grant, or of one adjustment, and what became of them.",
    "credit_spend": "Credits spent under one reference of the caller's.",
    "customer": "Who pays, by the gateway's id; `email:…` or `guest:…` where the gateway names nobody.",
    "dispute": "Payments that their payers contest.",
    "entitlement": "Features, quotas and licences that a customer has, and for how long.",
    "gateway_account": "A tenant's account at a gateway. Secrets are sealed with the installation's key.",
    "gateway_event": "Every event ever filed, once. The unique key is what makes a repeated delivery harmless.",
    "gateway_event_body": "The raw bytes as they were signed, in parts by month.",
    "gateway_event_dead": "Events that rest: unreadable, out of attempts, or deadly to three workers.",
    "gateway_event_queue": "Events that wait to be applied. A row goes in the transaction that writes the event's effects.",
    "gateway_event_replay": "Replays that were asked for, by whom and why.",
    "idempotency_answer": "What was answered to requests with an Idempotency-Key, sealed, for as long as it counts.",
    "invoice": "Invoices with their lines, as last reported.",
    "ledger_balance": "The sum of each account of the books.",
    "ledger_entry": "One side of a posting: debit above zero, credit below.",
    "ledger_transaction": "A posting of one payment, refund or dispute; corrections are further postings.",
    "licence": "Licence keys: issued with an entitlement, or by the gateway itself.",
    "licence_activation": "Devices counted in on a licence.",
    "mail_queue": "Letters that are still to be sent.",
    "backup_canary": "One row, written again every few seconds, to be found again after a restore.",
    "backup_damage": "What `bursar backup verify` found not to be whole, until it finds it whole.",
    "backup_drill": "What drills found: a restore into a scratch server, looked at, measured, removed.",
    "backup_listed": "Which backups the store listed when it was last looked at.",
    "backup_standing": "How backups stand: how far the log is kept, when the newest was taken, what failed.",
    "operator": "People who run the installation. They belong to no business.",
    "operator_link": "The addresses by which operators choose a password, each good once.",
    "operator_session": "Browsers in which an operator is signed in, acting for nobody yet.",
    "operator_throttle": "Operators' attempts to sign in, counted before they are judged.",
    "outbox": "What changed, in order. Nothing is sent to the outside yet.",
    "payment": "Payments: came, on their way, or did not come.",
    "payment_method": "Saved ways to pay: brand, last four digits, expiry. Never a full number.",
    "price_gateway_ref": "The names by which gateways call a price.",
    "product": "What is sold.",
    "purchase": "Objects that reports have linked, and what they mean together: paid, returned, bought.",
    "rate_limit": "A tenant's own numbers in place of the installation's: requests a minute.",
    "refund": "Money that went back.",
    "session": "Browsers that are signed in: users, API keys shown at the door, operators who act for the business.",
    "subscription": "Subscriptions, as last reported.",
    "tenant": "Businesses.",
    "tenant_user": "People of a business who may sign in, and what they prove themselves with.",
    "worker_bucket": "Which events each lane's owner is inside of, so that a crash is laid at the right door.",
}
"""What a table is, where its migration does not say so."""

_CREATE = re.compile(r"^create table (?:if not exists )?(\w+) \((?:\s*--\s*(?P<note>.*))?$")
_COLUMN = re.compile(r"^  (\w+) .*?--\s*(?P<note>.+)$")
_KINDS = {"p": "primary key", "u": "unique", "x": "excludes one another", "f": "foreign key", "c": "check"}


def page(database_url: str) -> str:
    """Return the page."""
    found = asyncio.run(_read(database_url))
    notes = _notes()
    names = [row["name"] for row in found["tables"]]
    overview = [(f"[`{n}`](#{markdown.anchor(n)})", _purpose(notes, n), _rights(found["rights"], n)) for n in names]
    return markdown.page(
        "Tables",
        _ABOUT,
        markdown.table(("table", "what it is", "`bursar_app` may"), overview),
        *(_one(row, found, notes) for row in found["tables"]),
    )


async def _read(database_url: str) -> dict[str, list[Mapping[str, Any]]]:
    connection = await asyncpg.connect(database_url)
    try:
        statements = {"tables": _TABLES, "columns": _COLUMNS, "rules": _RULES, "rights": _RIGHTS}
        return {name: await connection.fetch(statement) for name, statement in statements.items()}
    finally:
        await connection.close()


def _one(row: Mapping[str, Any], found: Mapping[str, Sequence[Mapping[str, Any]]], notes: Mapping[Any, str]) -> str:
    name = row["name"]
    columns = [
        (
            markdown.code(c["name"]),
            c["type"],
            "" if c["is_required"] else "may be null",
            "computed" if c["is_generated"] else markdown.code(c["preset"] or ""),
            notes.get((name, c["name"]), ""),
        )
        for c in found["columns"]
        if c["of_table"] == name
    ]
    rules = [f"- {_KINDS[r['kind']]}{_named(r)}: `{_told(r['text'])}`" for r in found["rules"] if r["of_table"] == name]
    guard = "" if row["is_guarded"] else "Not a tenant's: no row-level security."
    return "\n\n".join(
        part
        for part in (
            f"## {name}",
            _purpose(notes, name),
            guard,
            markdown.table(("column", "type", "null", "default", "note"), columns),
            "\n".join(rules),
        )
        if part
    )


def _rights(rights: Sequence[Mapping[str, Any]], table: str) -> str:
    return next((r["rights"] for r in rights if r["of_table"] == table and r["role"] == "bursar_app"), "nothing")


def _named(rule: Mapping[str, Any]) -> str:
    # Names that PostgreSQL made up say nothing; ours end in what they promise.
    made_up = (
        rule["kind"] != "u"
        and rule["name"].startswith(rule["of_table"] + "_")
        and rule["name"].endswith(("_pkey", "_fkey", "_check", "_check1", "_check2", "_fkey1"))
    )
    return "" if made_up else f" `{rule['name']}`"


def _told(text: str) -> str:
    for word in ("PRIMARY KEY ", "UNIQUE ", "EXCLUDE ", "FOREIGN KEY ", "CHECK "):
        text = text.removeprefix(word)
    return " ".join(text.split())


def _purpose(notes: Mapping[tuple[str, str], str], table: str) -> str:
    note = notes.get((table, ""), "")
    return f"{note[:1].upper()}{note[1:].removesuffix('.')}." if note else _PURPOSES.get(table, "")


def _notes() -> dict[tuple[str, str], str]:
    """Return the comments that the migrations have beside tables and columns."""
    notes: dict[tuple[str, str], str] = {}
    for migration in migrations_in():
        table = ""
        for line in migration.text.splitlines():
            if opened := _CREATE.match(line):
                table = opened[1]
                notes[table, ""] = (opened["note"] or "").strip()
            elif line.startswith(")"):
                table = ""
            elif table and (told := _COLUMN.match(line)):
                notes[table, told[1]] = told["note"].strip()
    return notes
