"""Booking classes with credits over HTTP, spread over many classes and all in one, against pgbench with the same guarded statements.

The sender is a process of its own on the same machine. pgbench writes what a booking writes (seat, lot, spend, movement, booking, audit
record, outbox) with one statement after another in one transaction, and judges no rule.
"""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import uvloop

from benchmarks.figures import Budget, Result, Scale
from benchmarks.ground import Ground, Process, ground
from benchmarks.load import Load, run
from benchmarks.yardstick import pgbench
from bursar.kernel import ids

PROMISE = "classes booked with credits per second over HTTP, one API process; never a seat too many"
BUDGETS = (
    Budget("spread_ratio", at_least=0.15),
    Budget("hot_ratio", at_least=0.3),
    Budget("oversold", at_most=0.0),
)
NOTES = (
    "spread: 16 connections over 2,000 classes; hot: 8 connections on one class; each booking by a customer of its own who has one lot",
    "pgbench: as many clients, the same guarded statements in one transaction, as the superuser; it judges no rule and tells nobody",
    "oversold: seats beyond the capacity of a class of 500 that 8 connections book until it is full, and bookings that are not counted",
)
CLASSES: Final = 2_000
CUSTOMERS: Final = 60_000
SMALL: Final = 500
_OWN: Final = CUSTOMERS // 9
_AT_ONCE: Final = 6_000

_FILL = """
set session_replication_role = replica;
insert into venue (tenant_id, id, name, time_zone) values ('{tenant}', md5('v')::uuid, 'Harbour', 'Europe/Berlin');
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, email, name, created_at)
  select '{tenant}', md5('c' || n)::uuid, '{account}', 'cus_b' || n, 'c' || n || '@example.org', 'Customer ' || n, now()
  from generate_series(0, {customers} - 1) n;
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at)
  select '{tenant}', md5('l' || n)::uuid, md5('c' || n)::uuid, 'classes', 100, now() - interval '1 day', now() + interval '1 year'
  from generate_series(0, {customers} - 1) n;
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount)
  select '{tenant}', md5('m' || n)::uuid, md5('l' || n)::uuid, md5('c' || n)::uuid, 'adjusted', 100 from generate_series(0, {customers} - 1) n;
insert into class_instance (tenant_id, id, venue_id, title, category, credit_cost, pools, local_date, local_start, time_zone, starts_at, ends_at,
    is_published, capacity)
  select '{tenant}', md5('k' || n)::uuid, md5('v')::uuid, 'Class ' || n, 'yoga', 1, '{{classes}}', (now() + interval '3 days')::date, '09:00',
    'Europe/Berlin', now() + interval '3 days' + n * interval '5 minutes', now() + interval '3 days 5 minutes' + n * interval '5 minutes', true,
    case when n = 1 then {small} else 100000 end
  from generate_series(0, {classes} + 1) n;
"""

# What a booking writes, in the order in which it does. :class and :customer are numbers.
_BOOK = r"""
\set customer random(0, {last})
\set class {which}
begin;
update class_instance set booked = booked + 1
  where tenant_id = :tenant and id = md5('k' || :class)::uuid and status = 'scheduled' and held + booked + 1 <= capacity + overbook;
update credit_lot set spent = spent + 1
  where tenant_id = :tenant and id = md5('l' || :customer)::uuid and remaining >= 1 and (expires_at is null or expires_at > now());
select gen_random_uuid() as spend, gen_random_uuid() as booking \gset
insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount)
  values (:tenant, :spend, md5('c' || :customer)::uuid, 'classes', :booking::text, 1);
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount, spend_id)
  values (:tenant, gen_random_uuid(), md5('l' || :customer)::uuid, md5('c' || :customer)::uuid, 'spent', -1, :spend);
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source, paid_with,
    credit_cost, spend_id, terms, snapshot, cancel_by, booked_by)
  values (:tenant, :booking, translate(upper(substr(replace(:booking::text, '-', ''), 1, 7)), '0123456789', 'GHJKLMN789'),
    md5('c' || :customer)::uuid, 'class', md5('k' || :class)::uuid, md5('v')::uuid, 'booked', now() + interval '3 days',
    now() + interval '3 days 1 hour', '2026-11-24', 'online', 'credits', 1, :spend, '{{}}', '{{}}', now(), 'pgbench') on conflict do nothing;
insert into audit_record (tenant_id, id, actor, action, subject, changes)
  values (:tenant, gen_random_uuid(), 'pgbench', 'booking.booked', :booking::text, '{{"status": "booked"}}');
insert into outbox (tenant_id, id, topic, subject, payload) values (:tenant, gen_random_uuid(), 'booking.booked', :booking::text, '{{}}');
commit;
"""

_OVER = """
select coalesce(sum(greatest(c.held + c.booked - c.capacity, 0) + abs(c.booked - coalesce(b.seats, 0))), 0)
from class_instance c left join (
  select class_id, sum(seats) as seats from booking where tenant_id = $1 and status in ('booked', 'attended', 'no_show') group by class_id
) b on b.class_id = c.id
where c.tenant_id = $1
"""


def measure(scale: Scale) -> Result:
    """Alternate bookings over HTTP and pgbench on one server; then fill a small class."""
    with ground() as here:
        here.admin(
            _FILL.format(
                tenant=here.tenant_id, account=here.account_id, customers=CUSTOMERS, classes=CLASSES, small=SMALL
            )
        )
        here.admin("vacuum analyze", "checkpoint")
        with here.api(BURSAR_RATE_KEY_GENERAL="10000000", BURSAR_RATE_GENERAL="10000000") as api:
            _book(here, api, seconds=1.0 if scale.quick else 3.0, connections=16, requests=_spread(here, 999))
            runs = [_once(here, api, scale.seconds, number) for number in range(scale.runs)]
            small = _book(here, api, seconds=60, connections=8, requests=_one_class(1, 0), count=2 * SMALL)
            oversold = float(here.ask(_OVER, here.tenant_id))
        for run in runs:
            run |= {"oversold": oversold, "small_sold": small["acknowledged"]}
    return Result("bookings", PROMISE, BUDGETS, tuple(runs), NOTES)


def _once(here: Ground, api: Process, seconds: float, number: int) -> dict[str, float]:
    figures: dict[str, float] = {}
    for name, connections, requests in (
        ("spread", 16, _spread(here, number)),
        ("hot", 8, _one_class(0, number)),
    ):
        here.admin("checkpoint")
        ours = _book(here, api, seconds=seconds, connections=connections, requests=requests)
        here.admin("checkpoint")
        base = _yardstick(here, name, connections, seconds)
        figures |= {
            f"{name}_ratio": ours["per_second"] / base,
            f"{name}_per_second": ours["per_second"],
            f"{name}_p50_ms": ours["p50_ms"],
            f"{name}_p99_ms": ours["p99_ms"],
            f"{name}_pgbench_per_second": base,
        }
    return figures


def _yardstick(here: Ground, name: str, clients: int, seconds: float) -> float:
    """Let pgbench book as many as it can. What it wrote goes away again, so that seats and bookings still agree."""
    which = "0" if name == "hot" else f"random(2, {CLASSES + 1})"
    script = _BOOK.format(last=CUSTOMERS - 1, which=which)
    rate = pgbench(here, script, clients=clients, seconds=seconds, variables={"tenant": str(here.tenant_id)}).per_second
    here.admin(
        "delete from booking where booked_by = 'pgbench'",
        """update class_instance c set booked = coalesce((select sum(b.seats) from booking b where b.class_id = c.id
          and b.status in ('booked', 'attended', 'no_show')), 0)""",
        "vacuum booking, class_instance, credit_lot",
    )
    return rate


def _book(
    here: Ground,
    api: Process,
    *,
    seconds: float,
    connections: int,
    requests: Iterator[tuple[int, int]],
    count: int = _AT_ONCE,
) -> dict[str, float]:
    """Book until the time or the requests are used up; return what the sender saw. A full class is no failure."""
    sender = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.bookings", str(api.port), here.api_key, str(connections), str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    wanted = [next(requests) for _ in range(count)]
    said, _ = sender.communicate(
        "\n".join(f"{_shown(ids.CLASS, 'k', a)} {_shown(ids.CUSTOMER, 'c', b)}" for a, b in wanted)
    )
    outcome = dict(json.loads(said))
    if outcome.pop("refused").keys() - {"409"}:
        raise RuntimeError(f"bookings were refused: {said}")
    return outcome


def _shown(prefix: str, letter: str, number: int) -> str:
    return ids.show(prefix, UUID(hashlib.md5(f"{letter}{number}".encode()).hexdigest()))


def _spread(here: Ground, seed: int) -> Iterator[tuple[int, int]]:
    chosen = random.Random(f"{here.tenant_id}{seed}")
    while True:
        yield chosen.randrange(2, CLASSES + 2), chosen.randrange(CUSTOMERS)


def _one_class(which: int, number: int) -> Iterator[tuple[int, int]]:
    """Yield customers of whom none comes twice in the runs together: nobody has two seats in a class."""
    return ((which, (number * _OWN + n) % CUSTOMERS) for n in range(CUSTOMERS))


def main() -> None:
    """Send the bookings that come on the standard input: a class and a customer in each line."""
    port, api_key, connections, seconds = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    requests = [_request(api_key, *line.split()) for line in sys.stdin if line.strip()]
    load = Load(iter(requests), seconds, done=b"201")
    uvloop.run(run(port, connections, load))
    print(json.dumps(load.outcome()))


def _request(api_key: str, class_id: str, customer: str) -> bytes:
    body = json.dumps({"class": class_id, "customer": customer, "source": "online"}).encode()
    head = (
        f"POST /v1/bookings HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {api_key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main()
