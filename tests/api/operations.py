"""Every operation that the API describes, and a good request for each: what generated tests begin from."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from bursar.alerts.looking import raise_all, remember
from bursar.alerts.models import Finding, Look
from bursar.alerts.rules import BY_NAME
from bursar.alerts.telling import tell
from bursar.kernel import ids, jobs
from bursar.kernel.circuits import Admission, Circuits
from bursar.kernel.clock import utc_now
from bursar.kernel.identity import sessions, tokens
from bursar.kernel.identity.people import Device
from bursar.kernel.oidc import external_users
from bursar.kernel.settings import Settings
from bursar.money.calls import EXECUTE, ask
from bursar.money.gateways.balances import balance_entry
from bursar.money.gateways.calling import Answer, Page
from bursar.money.gateways.calls import CreatePortalSession, CreateRefund, Kind
from bursar.money.reconciliation import GRACE, begin_run
from bursar.money.reconciliation.balances import compare_and_keep
from bursar.money.reconciliation.pages import take_page
from bursar.money.reconciliation.runs import run_of
from draining import drain
from stage import Stage

_CHANGE = {"quantity": 1, "proration": "none", "proration_at": "2099-01-01T00:00:00Z"}
_SERVICE = {
    "name": "Massage",
    "about": "of the back",
    "category": "massage",
    "slot_min": 15,
    "lead_min": 0,
    "horizon_days": 90,
    "is_published": True,
}
UNKNOWN = "01kapj5m6rfq1v5wx6h0b1a2c3"


@dataclass(frozen=True)
class Operation:
    """One method of one path. query: names of its parameters, with their schemas. body: its schema, if it takes one.

    takes_nothing: no field of the body has to be there.
    """

    method: str
    path: str
    parameters: tuple[str, ...]
    query: dict[str, dict[str, Any]]
    body: dict[str, Any] | None
    permission: str
    takes_nothing: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def at(self, **values: str) -> str:
        return self.path.format(**values)


def operations(document: dict[str, Any]) -> list[Operation]:
    """Return the operations of a tenant."""
    found = []
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            if not path.startswith("/v1/"):
                continue
            content = told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
            found.append(
                Operation(
                    method.upper(),
                    path,
                    tuple(p["name"] for p in told.get("parameters", ()) if p["in"] == "path"),
                    {p["name"]: p["schema"] for p in told.get("parameters", ()) if p["in"] == "query"},
                    content,
                    told["x-permission"],
                    not _resolved(document, content).get("required"),
                )
            )
    return found


def _resolved(document: dict[str, Any], schema: dict[str, Any] | None) -> dict[str, Any]:
    name = (schema or {}).get("$ref", "").rpartition("/")[2]
    return dict(document["components"]["schemas"][name] if name else schema or {})


_described: list[Operation] = []


async def every_operation(http: Any) -> list[Operation]:
    """Return the operations of the running application, described once for all tests of this process."""
    if not _described:
        _described.extend(operations((await http.get("/openapi.json")).json()))
    return list(_described)


# Prefix of the id that a name stands for, in paths, queries and bodies.
PREFIXES = {
    "account": ids.GATEWAY_ACCOUNT,
    "gateway_account": ids.GATEWAY_ACCOUNT,
    "booking": ids.BOOKING,
    "booking_fee": ids.BOOKING_FEE,
    "alert": ids.ALERT,
    "alert_channel": ids.ALERT_CHANNEL,
    "alert_route": ids.ALERT_ROUTE,
    "checkout": ids.CHECKOUT,
    "coupon": ids.COUPON,
    "circuit": ids.CIRCUIT,
    "credit_transfer": ids.CREDIT_TRANSFER,
    "customer": ids.CUSTOMER,
    "dispute": ids.DISPUTE,
    "erasure": ids.ERASURE,
    "event": ids.EVENT,
    "gateway_call": ids.GATEWAY_CALL,
    "external_user": ids.USER,
    "invoice": ids.INVOICE,
    "issuer": ids.ISSUER,
    "job": ids.JOB,
    "key": ids.API_KEY,
    "lot": ids.LOT,
    "order": ids.ORDER,
    "portal_session": ids.GATEWAY_CALL,
    "policy": ids.BOOKING_POLICY,
    "class": ids.CLASS,
    "waitlist_entry": ids.WAITLIST_ENTRY,
    "service": ids.SERVICE,
    "appointment": ids.BOOKING,
    "tier": ids.TIER,
    "hours": ids.STAFF_HOURS,
    "time_off": ids.TIME_OFF,
    "payment": ids.PAYMENT,
    "payment_change": ids.PAYMENT_CHANGE,
    "payment_method": ids.PAYMENT_METHOD,
    "payment_method_change": ids.PAYMENT_METHOD_CHANGE,
    "price": ids.PRICE,
    "product": ids.PRODUCT,
    "record": ids.AUDIT,
    "reconciliation": ids.RECONCILIATION,
    "refund": ids.REFUND,
    "role": ids.ROLE,
    "saga": ids.SAGA,
    "session": ids.SESSION,
    "spend": ids.SPEND,
    "subscription": ids.SUBSCRIPTION,
    "subscription_change": ids.SUBSCRIPTION_CHANGE,
    "user": ids.USER,
    "room": ids.ROOM,
    "template": ids.CLASS_TEMPLATE,
    "staff": ids.STAFF,
    "venue": ids.VENUE,
}


NAMES = {"rule": "bookings_per_day", "pool": "classes"}
"""What paths name that is no id, and the same for everybody."""


def queries(mine: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return what an operation has to be asked with, for those that have to."""
    return {
        "/v1/classes/{class}/bookability": {"customer": mine["customer"]},
        "/v1/staff/{staff}/day": {"date": "2099-01-05"},
        "/v1/availability": {
            "service": mine["service"],
            "tier": mine["tier"],
            "from": "2099-01-05T00:00:00Z",
            "to": "2099-01-06T00:00:00Z",
        },
    }


async def known_ids(caller: Any) -> dict[str, str]:
    """Return the id of something of each kind that this tenant has."""
    mine: dict[str, str] = {}
    for name, path in {
        "account": "gateway-accounts",
        "customer": "customers",
        "dispute": "disputes",
        "event": "gateway-events",
        "invoice": "invoices",
        "order": "orders",
        "payment": "unmatched-payments",
        "price": "prices",
        "product": "products",
        "record": "audit-records",
        "refund": "refunds",
        "subscription": "subscriptions",
    }.items():
        mine[name] = (await caller.data(f"/v1/{path}"))[0]["id"]
    mine["gateway_account"] = mine["account"]
    mine["recurring"] = (await caller.one("/v1/prices", lookup_key="membership"))["id"]
    mine["event"] = (await caller.data("/v1/gateway-events", status="applied"))[0]["id"]
    buyer = (await caller.one("/v1/customers", gateway_ref="cus_ann"))["id"]
    mine["customer"] = buyer
    mine["lot"] = (await caller.get(f"/v1/customers/{buyer}/credits")).json()["lots"][0]["id"]
    spent = await caller.post(
        "/v1/credit-spends", {"customer": buyer, "amount": 1, "reference": "known", "pool": "classes"}
    )
    mine["spend"] = spent.json()["id"]
    mine["licence_key"] = (await caller.data("/v1/licences"))[0]["key"]
    return mine


def bodies(mine: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return a good body for each operation that takes one."""
    ref = {"gateway_account": mine["account"], "ref": "price_fresh"}
    return {
        "/v1/gateway-accounts": {
            "gateway": "stripe",
            "name": "Second",
            "signing_secrets": ["whsec_good"],
            "tolerance_s": 60,
        },
        "/v1/gateway-accounts/{account}/secret-rotations": {"add": ["whsec_new"], "remove": []},
        "/v1/gateway-events/{event}/replays": {"reason": "again"},
        "/v1/gateway-event-replays": {
            "filter": {"type": "invoice.paid", "gateway_account": mine["account"]},
            "reason": "again",
        },
        "/v1/jobs/{job}/replays": {"reason": "again"},
        "/v1/job-replays": {"kind": "tests.give_up", "reason": "again"},
        "/v1/alerts/{alert}/silences": {"until": f"{utc_now() + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"},
        "/v1/alert-rules": {
            "rule": "unmatched_money",
            "is_on": True,
            "threshold": 2.5,
            "window_s": 600,
            "severity": "critical",
        },
        "/v1/alert-channels": {"name": "Fresh", "url": "https://hooks.example.org/fresh"},
        "/v1/alert-channels/{alert_channel}": {"is_on": False},
        "/v1/alert-routes": {
            "rule": "unmatched_money",
            "severity": "high",
            "channel": mine["alert_channel"],
            "second_channel": mine["alert_second"],
        },
        "/v1/products": {"name": "More", "description": "of it"},
        "/v1/prices": {
            "product": mine["product"],
            "lookup_key": "fresh",
            "amount_minor": 1,
            "currency": "EUR",
            "interval": "month",
            "interval_count": 1,
            "gateway_refs": [ref],
            "grants": [{"kind": "credits", "amount": 1}],
            "recovers_shortfall": False,
        },
        "/v1/products/{product}/restorations": {"reason": "back"},
        "/v1/prices/{price}/restorations": {"reason": "back"},
        "/v1/customers/{customer}/attendee": {
            "is_active": True,
            "is_banned": True,
            "banned_reason": "shouts",
            "waiver_signed_at": "2026-01-01T00:00:00Z",
            "born_on": "1990-02-28",
            "level": "beginner",
            "gender": "woman",
            "dues_unpaid_since": "2026-01-01T00:00:00Z",
            "notes": "left knee",
        },
        "/v1/customers/{customer}/restorations": {"reason": "back"},
        "/v1/customers/{customer}/erasures": {"ground": "requested"},
        "/v1/prices/{price}/gateway-refs": {"gateway_refs": [ref | {"ref": "price_fresher"}]},
        "/v1/customers": {
            "email": "fresh@example.org",
            "name": "Fay Fresh",
            "phone": "+31 20 555 0100",
            "gateway_account": mine["account"],
        },
        "/v1/orders": {"customer": mine["customer"], "lines": [{"price": mine["price"], "quantity": 1}]},
        "/v1/unmatched-payments/{payment}/assignments": {
            "price": mine["price"],
            "quantity": 1,
            "customer": mine["customer"],
        },
        "/v1/manual-payments": {
            "amount_minor": 100,
            "currency": "EUR",
            "method": "cash",
            "reference": "r1",
            "customer": mine["customer"],
            "email": "a@example.org",
            "price": mine["price"],
            "quantity": 1,
            "order": mine["order"],
            "description": "paid in coins",
            "occurred_at": "2026-01-01T00:00:00Z",
            "gateway_account": mine["desk"],
        },
        "/v1/checkouts": {
            "lines": [{"price": mine["price"], "quantity": 1}],
            "success_url": "https://studio.example.org/thanks",
            "cancel_url": "https://studio.example.org/prices",
            "customer": mine["customer"],
            "email": "a@example.org",
            "gateway_account": mine["keyed"],
            "expires_at": "2099-01-01T00:00:00Z",
            "trial_end": "2099-01-01T00:00:00Z",
            "saves_payment_method": True,
        },
        "/v1/payments": {
            "customer": mine["customer"],
            "payment_method": mine["payment_method"],
            "price": mine["price"],
            "quantity": 1,
            "description": "for the course",
            "return_url": "https://studio.example.org/paid",
        },
        "/v1/payments/{payment}/confirmations": {"return_url": "https://studio.example.org/paid"},
        "/v1/payment-methods": {
            "customer": mine["customer"],
            "return_url": "https://studio.example.org/saved",
            "cancel_url": "https://studio.example.org/",
            "gateway_ref": "pm_entered",
            "currency": "EUR",
        },
        "/v1/payment-methods/{payment_method}/defaults": {"subscription": mine["subscription"]},
        "/v1/subscriptions/{subscription}/changes": _CHANGE | {"price": mine["recurring"]},
        "/v1/subscriptions/{subscription}/previews": _CHANGE | {"price": mine["recurring"]},
        "/v1/subscriptions/{subscription}/cancellations": {"at": "period_end", "comment": "moved away"},
        "/v1/subscriptions/{subscription}/refunded-changes": {
            "price": mine["recurring"],
            "quantity": 1,
            "refund_minor": 1,
            "proration_at": "2025-10-20T00:00:00Z",
        },
        "/v1/subscriptions/{subscription}/refunded-cancellations": {
            "refund_minor": 1,
            "proration_at": "2025-10-20T00:00:00Z",
        },
        "/v1/sagas/{saga}/settlements": {"note": "refunded in the dashboard"},
        "/v1/subscriptions/{subscription}/trial-extensions": {"trial_end": "2099-01-01T00:00:00Z"},
        "/v1/disputes/{dispute}/evidence": {
            "texts": {"product_description": "Ten classes"},
            "files": {
                "receipt": {"filename": "receipt.pdf", "content_type": "application/pdf", "content": "JVBERi0xLjcK"}
            },
            "is_final": False,
        },
        "/v1/portal-sessions": {"customer": mine["customer"], "return_url": "https://studio.example.org/account"},
        "/v1/gateway-accounts/{account}/fetches": {"kind": "payment", "ref": "pi_1"},
        "/v1/payments/{payment}/pack-refunds": {"amount_minor": 1, "reason": "sorry"},
        "/v1/refunds": {"payment": mine["desk_payment"], "amount_minor": 1, "reason": "sorry"},
        "/v1/manual-refunds": {
            "payment": mine["desk_payment"],
            "amount_minor": 1,
            "reference": "r2",
            "reason": "sorry",
            "occurred_at": "2026-01-01T00:00:00Z",
        },
        "/v1/credit-spends": {"customer": mine["customer"], "amount": 1, "reference": "s1", "pool": "classes"},
        "/v1/credit-adjustments": {
            "customer": mine["customer"],
            "amount": 1,
            "reason": "gift",
            "pool": "classes",
            "expires_at": "2099-01-01T00:00:00Z",
        },
        "/v1/licence-validations": {"key": mine["licence_key"]},
        "/v1/licence-activations": {"key": mine["free_key"], "fingerprint": "device-1", "name": "laptop"},
        "/v1/api-keys": {
            "name": "web shop",
            "scopes": ["payments:read"],
            "expires_at": "2099-01-01T00:00:00Z",
            "allowed_addresses": ["203.0.113.0/24"],
        },
        "/v1/api-keys/{key}/rotations": {"overlap_s": 60, "expires_at": "2099-01-01T00:00:00Z"},
        "/v1/users": {"email": "Fresh@example.org", "name": "Fay Fresh", "roles": ["staff"]},
        "/v1/users/{user}": {"name": "Una Usher", "roles": ["support"]},
        "/v1/identity-issuers": {
            "issuer": "https://login.example.org/realms/main",
            "audience": "bursar-api",
            "authorized_parties": ["shop-web"],
            "algorithms": ["ES256"],
            "leeway_s": 30,
            "subject_claim": "sub",
            "email_claim": "email",
            "name_claim": "name",
            "roles_claim": ["roles"],
            "role_map": {"shop-admin": ["admin"]},
            "default_roles": ["read-only"],
        },
        "/v1/idempotency-retentions": {"retentions": [{"class": "checkout", "seconds": 3600}]},
        "/v1/time-zone": {"time_zone": "Europe/Berlin"},
        "/v1/theme": {
            "name": "Harbour",
            "logo_url": "https://studio.example.org/logo.png",
            "accent": "#0b5d3b",
            "support_email": "help@example.org",
            "return_url": "https://studio.example.org",
        },
        "/v1/services": _SERVICE | {"policy": mine["policy"]},
        "/v1/services/{service}": _SERVICE,
        "/v1/services/{service}/tiers": {"name": "Half", "duration_min": 30, "before_min": 5, "after_min": 5},
        "/v1/services/{service}/staff/{staff}": {"tiers": [mine["tier"]]},
        "/v1/appointments": {
            "service": mine["service"],
            "tier": mine["tier"],
            "customer": mine["customer"],
            "starts_at": "2099-03-02T08:00:00Z",
            "staff": mine["staff"],
            "venue": mine["venue"],
            "at_desk": True,
            "is_paid_ahead": True,
            "override_reason": "a regular",
            "success_url": "https://studio.example.org/booked",
            "cancel_url": "https://studio.example.org/",
            "gateway_account": mine["keyed"],
        },
        "/v1/appointments/{appointment}/reschedules": {
            "starts_at": "2099-03-03T08:00:00Z",
            "staff": mine["staff"],
            "venue": mine["venue"],
            "override_reason": "ill",
        },
        "/v1/appointments/{appointment}/confirmations": {
            "success_url": "https://studio.example.org/booked",
            "cancel_url": "https://studio.example.org/",
            "gateway_account": mine["keyed"],
        },
        "/v1/staff-hours": {
            "staff": mine["staff"],
            "venue": mine["venue"],
            "weekday": 2,
            "from": "09:00",
            "until": "24:00",
            "valid_from": "2099-01-01",
            "valid_until": "2099-12-31",
        },
        "/v1/staff-time-off": {
            "staff": mine["staff"],
            "venue": mine["venue"],
            "from": "2099-02-01T00:00",
            "until": "2099-02-02T00:00",
            "reason": "holiday",
        },
        "/v1/prices/{price}/buy-link": {"is_on": True, "gateway_account": mine["keyed"]},
        "/v1/bookings": {"class": mine["class"], "customer": mine["customer"], "pays": "credits"},
        "/v1/bookings/{booking}/cancellations": {"by": "customer", "reason": "ill"},
        "/v1/bookings/{booking}/reschedules": {"class": mine["class"]},
        "/v1/bookings/{booking}/confirmations": {},
        "/v1/bookings/{booking}/desk-payments": {"method": "cash", "reference": "receipt-7"},
        "/v1/classes/{class}/cancellations": {"reason": "The instructor is ill."},
        "/v1/classes/{class}/changes": {"capacity": 14},
        "/v1/waitlist-entries": {"class": mine["class"], "customer": mine["customer"]},
        "/v1/booking-fees/{booking_fee}/checkouts": {
            "gateway_account": mine["keyed"],
            "success_url": "https://studio.example.org/thanks",
        },
        "/v1/booking-fees/{booking_fee}/orders": {},
        "/v1/booking-fees/{booking_fee}/waivers": {"reason": "was ill"},
        "/v1/coupons": {"code": "autumn", "percent": 20, "uses_max": 10, "classes": [mine["class"]]},
        "/v1/coupons/{coupon}": {"is_on": True, "uses_max": 50},
        "/v1/credit-transfers": {"lot": mine["lot"], "customer": mine["customer"], "amount": 1},
        "/v1/credit-pools/{pool}": {"venues": [mine["venue"]]},
        "/v1/booking-policies": {"name": "Strict", "terms": {"cancel_minutes": 720}, "is_default": False},
        "/v1/booking-policies/{policy}": {"name": "Strict", "terms": {"cancel_minutes": 720}, "is_default": False},
        "/v1/booking-rules/{rule}": {"is_on": True, "parameters": {}},
        **_schedule_bodies(mine),
        "/v1/reconciliations": {
            "gateway_account": mine["keyed"],
            "since": "2026-01-01T00:00:00Z",
            "until": "2026-02-01T00:00:00Z",
        },
        "/v1/rate-limits": {"limits": [{"class": "general", "holder": "user", "per_minute": 50}]},
        "/v1/roles": {"name": "night-desk", "permissions": ["payments:read", "refunds:write"]},
        "/v1/roles/{role}": {"permissions": ["payments:read"]},
        "/v1/licence-deactivations": {"key": mine["free_key"], "fingerprint": "device-0"},
    }


def _schedule_bodies(mine: dict[str, str]) -> dict[str, dict[str, Any]]:
    what = {
        "room": mine["room"],
        "staff": mine["staff"],
        "policy": mine["policy"],
        "price": mine["price"],
        "title": "Strong",
        "about": "It is.",
        "category": "yoga",
        "duration_min": 45,
        "capacity": 9,
        "deposit_percent": 30,
        "credit_cost": 2,
        "pools": ["classes"],
        "requirements": {"age_min": 16, "levels": ["open"]},
        "is_published": True,
    }
    new = what | {"venue": mine["venue"], "local_start": "18:30"}
    return {
        "/v1/venues": {"name": "Hill", "time_zone": "Europe/Rome", "address": "Up", "tax_bp": 2200},
        "/v1/venues/{venue}": {"name": "Quay", "address": "Down", "tax_included": False},
        "/v1/venues/{venue}/opening-hours": {
            "hours": [{"weekday": day, "opens_min": 420, "closes_min": 1320} for day in range(1, 8)]
        },
        "/v1/venues/{venue}/closed-days": {"days": [{"day": "2098-12-25", "name": "Rest"}]},
        "/v1/rooms": {"venue": mine["venue"], "name": "Loft", "capacity": 9},
        "/v1/rooms/{room}": {"name": "Hall", "capacity": 12},
        "/v1/staff": {"name": "Ida", "about": "New", "user": mine["user"]},
        "/v1/staff/{staff}": {"name": "Ines", "about": "Old", "user": mine["user"]},
        "/v1/class-templates": new
        | {"rrule": "FREQ=WEEKLY;BYDAY=TU", "starts_on": "2099-02-03", "ends_on": "2099-12-31"},
        "/v1/class-templates/{template}": {"title": "Flow", "about": "It flows.", "pools": ["classes"]},
        "/v1/class-templates/{template}/splits": {"from_day": "2099-01-12", "title": "Slow"},
        "/v1/classes": new | {"local_date": "2099-03-04"},
        "/v1/classes/{class}": {"title": "Flow", "about": "Once.", "pools": ["classes"], "allows_overbooked": False},
        "/v1/schedule-settings": {"weeks_ahead": 8},
    }


async def furnished(caller: Any) -> dict[str, str]:
    """Add what a history of reports does not bring: an order, a desk with a payment, a licence that is not disputed."""
    order = await caller.post("/v1/orders", {"lines": [{"price": "pack-10"}]})
    assert order.status_code == 201, order.text
    role = await caller.post("/v1/roles", {"name": "front-desk", "permissions": ["payments:read"]})
    assert role.status_code == 201, role.text
    key = await caller.post("/v1/api-keys", {"name": "reader", "scopes": ["payments:read"]})
    assert key.status_code == 201, key.text
    user = await caller.post("/v1/users", {"email": "una@example.org", "name": "Una Usher", "roles": ["staff"]})
    assert user.status_code == 201, user.text
    issuer = await caller.post("/v1/identity-issuers", {"issuer": "https://id.example.org", "audience": "bursar"})
    assert issuer.status_code == 201, issuer.text
    person = await _met(caller)
    desk = (await caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]
    paid = {"amount_minor": 9900, "currency": "EUR", "reference": "cash", "email": "c@example.org", "price": "course"}
    assert (await caller.post("/v1/manual-payments", paid | {"gateway_account": desk})).status_code == 202
    other = {"amount_minor": 5000, "currency": "EUR", "reference": "gone", "email": "d@example.org", "price": "pack-10"}
    assert (await caller.post("/v1/manual-payments", other | {"gateway_account": desk})).status_code == 202
    await caller.stage.apply()
    mine = await known_ids(caller)
    mine["desk"] = desk
    mine["job"] = await given_up(caller.stage)
    mine["key"] = key.json()["id"]
    mine["user"] = user.json()["id"]
    mine["session"] = await signed_in(caller.stage)
    mine["issuer"] = issuer.json()["id"]
    mine["external_user"] = ids.show(ids.USER, person)
    mine["role"] = role.json()["id"]
    mine["circuit"] = await _failed(caller.stage)
    mine |= await _alerted(caller)
    mine["gateway_call"] = await _unknown(caller.stage)
    mine["reconciliation"] = await _compared(caller)
    mine["keyed"] = await _keyed(caller)
    mine["checkout"] = await _started(caller, mine["keyed"])
    mine["subscription_change"] = await _changed(caller.stage)
    await _answered(caller.stage)
    mine["saga"] = await half_done(caller.stage)
    mine |= await _saved(caller, mine)
    mine["portal_session"] = await _linked(caller.stage)
    mine["account"] = mine["gateway_account"] = (await caller.data("/v1/gateway-accounts", gateway="stripe"))[0]["id"]
    mine["desk_payment"] = (await caller.one("/v1/payments", gateway_ref="cash"))["id"]
    mine["free_key"] = (await caller.data("/v1/licences", status="active"))[0]["key"]
    activated = await caller.post("/v1/licence-activations", {"key": mine["free_key"], "fingerprint": "device-0"})
    assert activated.status_code == 201, activated.text
    for path, body in (("/v1/theme", {"name": "Mine"}), (f"/v1/prices/{mine['price']}/buy-link", {"is_on": False})):
        shown = await caller.send("PUT", path, body)
        assert shown.status_code == 200, shown.text
    gone = (await caller.one("/v1/customers", email="d@example.org"))["id"]
    erased = await caller.post(f"/v1/customers/{gone}/erasures", {"ground": "requested"})
    assert erased.status_code == 202, erased.text
    mine["erasure"] = erased.json()["id"]
    return mine | await _scheduled(caller.stage, mine) | NAMES


async def given_up(stage: Stage) -> str:
    """Let a job rest as dead, and return its id."""

    async def give_up(_: jobs.Work) -> None:
        raise jobs.GivenUp("there is nothing to do")

    async with stage.db.tenant(stage.tenant_id) as tx:
        job_id = await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.give_up", key="one")
    await drain(stage, [jobs.Kind("tests.give_up", give_up)])
    return ids.show(ids.JOB, job_id)


async def _alerted(caller: Any) -> dict[str, str]:
    """Let something be wrong, and two channels and a route be there that hear of it."""
    mine = {}
    for name, key in (("First", "alert_channel"), ("Second", "alert_second")):
        added = await caller.post("/v1/alert-channels", {"name": name, "url": f"mailto:{key}@example.org"})
        assert added.status_code == 201, added.text
        mine[key] = added.json()["id"]
    route = await caller.post("/v1/alert-routes", {"severity": "low", "channel": mine["alert_channel"]})
    assert route.status_code == 201, route.text
    mine["alert_route"] = route.json()["id"]
    chosen = await caller.send("PUT", "/v1/alert-rules", {"rule": "disputes_due", "is_on": False})
    assert chosen.status_code == 200, chosen.text
    stage = caller.stage
    this = Look(1, 0, utc_now())
    finding = Finding(stage.tenant_id, str(stage.account_id), "high", 3.0, 3, "three")
    settings = Settings(database_url=stage.url)
    async with stage.db.engine() as tx:
        (told,) = await raise_all(tx, settings, rule=BY_NAME["unmatched_money"], findings=[finding], this=this)
        await remember(tx, [told], this)
        await tell(tx, settings, [told], this)
    return mine | {"alert": ids.show(ids.ALERT, told.alert_id)}


async def signed_in(stage: Stage, user: str | None = None) -> str:
    """Open a session of a user, or of whoever came with a ticket, and return its id."""
    async with stage.db.tenant(stage.tenant_id) as tx:
        token = await sessions.open_session(
            tx,
            tenant_id=stage.tenant_id,
            kind="user" if user else "operator",
            who_id=ids.parse(ids.USER, user) if user else None,
            device=Device.of("Browser", "192.0.2.7"),
            now=datetime.now(UTC),
        )
    found = tokens.read(token)
    assert found
    return ids.show(ids.SESSION, found.id)


async def _failed(stage: Stage) -> str:
    """Let calls to a gateway have failed until they are not made any more; return the circuit."""
    circuits, account = Circuits(stage.db, utc_now), ids.show(ids.GATEWAY_ACCOUNT, stage.account_id)
    place = {"tenant_id": stage.tenant_id, "subject": account, "operation": "create_refund"}
    for _ in range(5):
        await circuits.failed(Admission(utc_now()), **place, why="it did not answer within 23 s")
    return ids.show(ids.CIRCUIT, await stage.value("select id from circuit"))


async def _unknown(stage: Stage) -> str:
    """Let something have been asked of a gateway, and nobody can tell what came of it; return the call."""
    refund = ids.show(ids.REFUND, ids.new())
    call = CreateRefund(refund=refund, currency="EUR", payment="pi_1", amount_minor=1)
    place = {"tenant_id": stage.tenant_id, "account_id": stage.account_id}
    async with stage.db.tenant(stage.tenant_id) as tx:
        call_id = await ask(tx, **place, call=call, subject=refund, key="unknown", actor="operator")
        await tx.execute(
            "update gateway_call set state = 'unknown', ended_at = now() where tenant_id = $1", stage.tenant_id
        )
        await tx.execute("delete from job where kind = $1", EXECUTE)
    return ids.show(ids.GATEWAY_CALL, call_id)


async def _keyed(caller: Any) -> str:
    """Add an account whose gateway can be asked."""
    new = {"gateway": "sandbox", "name": "Web", "signing_secrets": ["whsec_web"], "api_key": "sk_test_web"}
    added = await caller.post("/v1/gateway-accounts", new)
    assert added.status_code == 201, added.text
    return added.json()["id"]


async def _started(caller: Any, account: str) -> str:
    """Start a checkout that the gateway has not answered yet."""
    new = {"lines": [{"price": "pack-10"}], "success_url": "https://studio.example.org", "gateway_account": account}
    started = await caller.post("/v1/checkouts", new)
    assert started.status_code == 202, started.text
    return started.json()["id"]


async def _compared(caller: Any) -> str:
    """Let a run be under way that has found a payment and a booking that nobody told of; return it."""
    stage, now = caller.stage, datetime.now(UTC)
    tenant, account_id = {"tenant_id": stage.tenant_id}, ids.parse(ids.GATEWAY_ACCOUNT, await _keyed(caller))
    money = {"currency": "eur", "created": int(now.timestamp()) - 86_400}
    payment = {"id": "pi_untold", "object": "payment_intent", "status": "canceled", "amount": 1, **money}
    booked = {"id": "txn_1", "type": "charge", "amount": 1, "fee": 0, "net": 1, "status": "available", **money}
    async with stage.db.tenant(stage.tenant_id) as tx:
        run_id = await begin_run(
            tx, **tenant, account_id=account_id, lists=lambda _: frozenset({Kind.payment}), actor="operator", now=now
        )
        run = await run_of(tx, **tenant, run_id=run_id)
        page = Page((Answer(Kind.payment, "pi_untold", payment, now),), "pi_untold")
        await take_page(tx, run, **tenant, page=page, now=now, grace=GRACE)
        await compare_and_keep(tx, run, **tenant, entries=[balance_entry("stripe", booked)], now=now)
    return ids.show(ids.RECONCILIATION, run_id)


async def _changed(stage: Stage) -> str:
    """Let a subscription have been changed; return the change."""
    change_id = ids.new()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            """insert into subscription_change (tenant_id, id, subscription_id, call_id, kind, is_open, actor)
            select $1, $2, s.id, c.id, 'pause', false, 'operator' from subscription s, gateway_call c limit 1""",
            stage.tenant_id,
            change_id,
        )
    return ids.show(ids.SUBSCRIPTION_CHANGE, change_id)


async def _linked(stage: Stage) -> str:
    """Let a link to a gateway's own page have been asked for; return its session."""
    subject = ids.show(ids.CUSTOMER, await stage.value("select id from customer limit 1"))
    place = {"tenant_id": stage.tenant_id, "account_id": stage.account_id}
    async with stage.db.tenant(stage.tenant_id) as tx:
        call = CreatePortalSession(customer="cus_ann")
        call_id = await ask(tx, **place, call=call, subject=subject, key="link", actor="operator")
    return ids.show(ids.GATEWAY_CALL, call_id)


async def _answered(stage: Stage) -> None:
    """Let a dispute have been answered with a file, after it was told that it is due."""
    answer_id = ids.new()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            """insert into dispute_answer (tenant_id, id, dispute_id, kind, is_final, of_inquiry, texts, is_open, ended_at, actor)
            select $1, $2, d.id, 'evidence', false, true, '{"customer_name": "Bob"}', false, now(), 'operator' from dispute d limit 1""",
            stage.tenant_id,
            answer_id,
        )
        await tx.execute(
            """insert into dispute_answer_file (tenant_id, answer_id, name, filename, content_type, size_bytes, sha256, call_id)
            select $1, $2, 'receipt', 'bob.pdf', 'application/pdf', 5, sha256('x'), c.id from gateway_call c limit 1""",
            stage.tenant_id,
            answer_id,
        )
        await tx.execute(
            "insert into dispute_reminder (tenant_id, dispute_id, due_by) select $1, id, due_by from dispute limit 1",
            stage.tenant_id,
        )


async def half_done(stage: Stage) -> str:
    """Let money have gone back for a subscription that then could not be ended; return the saga."""
    saga_id, tenant_id = ids.new(), stage.tenant_id
    plan = """{"subscription": "sub_1", "subscription_ref": "sub_1", "payment": "pay_1", "payment_ref": "pi_1", "is_ending": true}"""
    async with stage.db.tenant(tenant_id) as tx:
        await tx.execute(
            """insert into saga (tenant_id, id, kind, state, gateway_account_id, subject, plan, amount_minor, currency, actor)
            values ($1, $2, 'subscriptions.cancel_and_refund', 'needs_hands', $3, 'sub_1', $4::text::jsonb, 1, 'EUR', 'operator')""",
            tenant_id,
            saga_id,
            stage.account_id,
            plan,
        )
        await tx.execute(
            """insert into saga_step (tenant_id, saga_id, number, name, state, call_id, ended_at)
            select $1, $2, 2, 'refund', 'done', id, now() from gateway_call limit 1""",
            tenant_id,
            saga_id,
        )
        await tx.execute(
            """insert into saga_step (tenant_id, saga_id, number, name, state, error_code, error, ended_at)
            values ($1, $2, 3, 'cancel_now', 'refused', 'resource_missing', 'no such subscription', now())""",
            tenant_id,
            saga_id,
        )
    return ids.show(ids.SAGA, saga_id)


async def _saved(caller: Any, mine: dict[str, str]) -> dict[str, str]:
    """Let a customer have a card that was told of as ending, and was asked for money; return the card, and what was asked for."""
    stage, method_id, (confirmation, setup) = caller.stage, ids.new(), (ids.new(), ids.new())
    account, customer = ids.parse(ids.GATEWAY_ACCOUNT, mine["keyed"]), ids.parse(ids.CUSTOMER, mine["customer"])
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            """insert into payment_method (tenant_id, id, gateway_account_id, gateway_ref, customer_id, method, is_detached, created_at)
            values ($1, $2, $3, 'pm_saved', $4, 'card', false, now())""",
            *(stage.tenant_id, method_id, account, customer),
        )
        await tx.execute(
            "insert into payment_method_warning (tenant_id, payment_method_id, exp_year, exp_month) values ($1, $2, 2030, 1)",
            *(stage.tenant_id, method_id),
        )
    method = ids.show(ids.PAYMENT_METHOD, method_id)
    wanted = {"customer": mine["customer"], "payment_method": method, "amount_minor": 1, "currency": "EUR"}
    asked = await caller.post("/v1/payments", wanted)
    assert asked.status_code == 202, asked.text
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            """insert into payment_change (tenant_id, id, payment_id, kind, call_id, is_open, actor)
            select tenant_id, $3, id, 'confirmation', call_id, false, 'operator' from asked_payment where tenant_id = $1 and id = $2""",
            *(stage.tenant_id, ids.parse(ids.PAYMENT, asked.json()["id"]), confirmation),
        )
        await tx.execute(
            """insert into payment_method_change (tenant_id, id, gateway_account_id, customer_id, kind, call_id, is_open, actor)
            select tenant_id, $3, gateway_account_id, customer_id, 'setup', call_id, false, 'operator' from asked_payment
            where tenant_id = $1 and id = $2""",
            *(stage.tenant_id, ids.parse(ids.PAYMENT, asked.json()["id"]), setup),
        )
    return {
        "payment_method": method,
        "payment_change": ids.show(ids.PAYMENT_CHANGE, confirmation),
        "payment_method_change": ids.show(ids.PAYMENT_METHOD_CHANGE, setup),
    }


async def _scheduled(stage: Stage, mine: dict[str, str]) -> dict[str, str]:
    """Let a business have a class that somebody is in and another waits for; return what it consists of."""
    made = {name: ids.new() for name in _BOOKING_KINDS}
    customer = ids.parse(ids.CUSTOMER, mine["customer"])
    async with stage.db.tenant(stage.tenant_id) as tx:
        for statement, names in _BOOKING_ROWS:
            of = {"tenant": stage.tenant_id, "customer": customer} | made
            await tx.execute(statement, *(of[name] for name in ("tenant", *names)))
    return {name: ids.show(prefix, made[name]) for name, prefix in _BOOKING_KINDS.items()}


_BOOKING_KINDS = {
    "venue": ids.VENUE,
    "room": ids.ROOM,
    "staff": ids.STAFF,
    "policy": ids.BOOKING_POLICY,
    "template": ids.CLASS_TEMPLATE,
    "class": ids.CLASS,
    "booking": ids.BOOKING,
    "waitlist_entry": ids.WAITLIST_ENTRY,
    "service": ids.SERVICE,
    "appointment": ids.BOOKING,
    "given_up": ids.BOOKING,
    "booking_fee": ids.BOOKING_FEE,
    "credit_transfer": ids.CREDIT_TRANSFER,
    "tier": ids.TIER,
    "hours": ids.STAFF_HOURS,
    "time_off": ids.TIME_OFF,
    "coupon": ids.COUPON,
}

_BOOKING_ROWS = (
    ("insert into venue (tenant_id, id, name, time_zone) values ($1, $2, 'Harbour', 'Europe/Berlin')", ("venue",)),
    (
        "insert into room (tenant_id, id, venue_id, name, capacity) values ($1, $2, $3, 'Hall', 12)",
        ("room", "venue"),
    ),
    (
        "insert into venue_hours (tenant_id, venue_id, weekday, opens_min, closes_min) select $1, $2, day, 420, 1320 from generate_series(1, 7) as day",
        ("venue",),
    ),
    ("insert into venue_closed_day (tenant_id, venue_id, day) values ($1, $2, '2099-12-25')", ("venue",)),
    ("insert into schedule_setting (tenant_id) values ($1)", ()),
    ("insert into staff (tenant_id, id, name) values ($1, $2, 'Ines')", ("staff",)),
    (
        "insert into booking_policy (tenant_id, id, name, is_default, terms) values ($1, $2, 'House', true, '{}')",
        ("policy",),
    ),
    (
        """insert into class_template (tenant_id, id, venue_id, room_id, staff_id, title, duration_min, capacity, credit_cost, rrule,
          starts_on, local_start, time_zone, is_published)
        values ($1, $2, $3, $4, $5, 'Flow', 60, 12, 1, 'FREQ=WEEKLY', '2099-01-05', '09:00', 'Europe/Berlin', true)""",
        ("template", "venue", "room", "staff"),
    ),
    (
        """insert into class_instance (tenant_id, id, template_id, venue_id, room_id, staff_id, title, credit_cost, slot, local_date,
          local_start, time_zone, starts_at, ends_at, is_published, capacity, booked, waiting, waited)
        values ($1, $2, $3, $4, $5, $6, 'Flow', 1, '2099-01-05', '2099-01-05', '09:00', 'Europe/Berlin',
          '2099-01-05T08:00Z', '2099-01-05T09:00Z', true, 12, 1, 1, 2)""",
        ("class", "template", "venue", "room", "staff"),
    ),
    (
        """insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date,
          source, paid_with, terms, snapshot, cancel_by, booked_by)
        values ($1, $2, 'ABCDEFG', $3, 'class', $4, $5, 'booked', '2099-01-05T08:00Z', '2099-01-05T09:00Z', '2099-01-05',
          'online', 'nothing', '{}', '{"title": "Flow", "venue": "Harbour", "staff": "Ines", "time_zone": "Europe/Berlin"}',
          '2099-01-04T20:00Z', 'operator')""",
        ("booking", "customer", "class", "venue"),
    ),
    (
        """insert into waitlist_entry (tenant_id, id, class_id, customer_id, seq, status, joined_by)
        values ($1, $2, $3, $4, 1, 'waiting', 'operator')""",
        ("waitlist_entry", "class", "customer"),
    ),
    ("insert into service (tenant_id, id, name) values ($1, $2, 'Massage')", ("service",)),
    (
        "insert into tier (tenant_id, id, service_id, name, duration_min) values ($1, $2, $3, 'Hour', 60)",
        ("tier", "service"),
    ),
    (
        "insert into staff_skill (tenant_id, id, staff_id, service_id) values ($1, gen_random_uuid(), $2, $3)",
        ("staff", "service"),
    ),
    (
        """insert into staff_hours (tenant_id, id, staff_id, venue_id, weekday, from_minute, to_minute, valid_from)
        values ($1, $2, $3, $4, 1, 540, 1020, '2099-01-05')""",
        ("hours", "staff", "venue"),
    ),
    (
        """insert into staff_time_off (tenant_id, id, staff_id, time_zone, local_from, local_until)
        values ($1, $2, $3, 'Europe/Berlin', '2099-01-05', '2099-01-06')""",
        ("time_off", "staff"),
    ),
    (
        """insert into credit_rollover (tenant_id, lot_id, into_lot_id, amount)
        select $1, id, id, 1 from credit_lot where tenant_id = $1 order by id limit 1""",
        (),
    ),
    (
        """insert into credit_transfer (tenant_id, id, from_lot_id, into_lot_id, spend_id, from_customer_id, to_customer_id, amount, actor)
        select $1, $2, l.id, l.id, s.id, $3, c.id, 1, 'operator' from credit_lot l, credit_spend s, customer c
        where l.tenant_id = $1 and s.tenant_id = $1 and c.tenant_id = $1 and c.id <> $3 order by l.id, s.id, c.id limit 1""",
        ("credit_transfer", "customer"),
    ),
    ("insert into credit_pool_venue (tenant_id, pool, venue_id) values ($1, 'elsewhere', $2)", ("venue",)),
    (
        """insert into pack_refund (tenant_id, refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused,
          reserved_spend_id, asked_by, settled_at)
        select $1, r.id, r.payment_id, l.id, 'refunded', 1, 'EUR', 10, 9, 1, s.id, 'operator', now()
        from refund r, credit_lot l, credit_spend s where r.tenant_id = $1 and l.tenant_id = $1 and s.tenant_id = $1
        order by r.id, l.id, s.id limit 1""",
        (),
    ),
    (
        """insert into booking (tenant_id, id, number, customer_id, kind, service_id, tier_id, staff_id, venue_id, status, starts_at, ends_at,
          local_date, busy, source, paid_with, terms, snapshot, cancel_by, booked_by)
        values ($1, $2, 'HJKLMNP', $3, 'service', $4, $5, $6, $7, 'requested', '2099-02-02T08:00Z', '2099-02-02T09:00Z', '2099-02-02',
          '[2099-02-02T08:00Z, 2099-02-02T09:00Z)', 'online', 'nothing', '{}',
          '{"title": "Massage", "tier": "Hour", "staff": "Ines", "venue": "Harbour", "time_zone": "Europe/Berlin"}', '2099-02-01T08:00Z',
          'operator')""",
        ("appointment", "customer", "service", "tier", "staff", "venue"),
    ),
    (
        """insert into seat_payment (tenant_id, grant_id, purchase_id, booking_id, status)
        select tenant_id, id, source_id, $2, 'released' from fulfilment_grant where tenant_id = $1 order by id limit 1""",
        ("appointment",),
    ),
    (
        """insert into booking (tenant_id, id, number, customer_id, kind, service_id, tier_id, staff_id, venue_id, status, starts_at, ends_at,
          local_date, busy, source, paid_with, terms, snapshot, cancel_by, booked_by, cancelled_at)
        values ($1, $2, 'HJKLMNQ', $3, 'service', $4, $5, $6, $7, 'late_cancelled', '2099-02-03T08:00Z', '2099-02-03T09:00Z', '2099-02-03',
          '[2099-02-03T08:00Z, 2099-02-03T09:00Z)', 'online', 'nothing', '{"late_cancel_fee_minor": 1000, "fee_currency": "EUR"}',
          '{"title": "Massage", "tier": "Hour", "staff": "Ines", "venue": "Harbour", "time_zone": "Europe/Berlin"}', '2099-02-02T08:00Z',
          'operator', now())""",
        ("given_up", "customer", "service", "tier", "staff", "venue"),
    ),
    (
        """insert into booking_fee (tenant_id, id, booking_id, customer_id, kind, amount_minor, currency, raised_by, opened_at)
        values ($1, $2, $3, $4, 'late_cancel', 1000, 'EUR', 'operator', now())""",
        ("booking_fee", "given_up", "customer"),
    ),
    (
        """insert into booking_fee_order (tenant_id, order_id, fee_id)
        select tenant_id, id, $2 from customer_order where tenant_id = $1 order by id limit 1""",
        ("booking_fee",),
    ),
    ("insert into coupon (tenant_id, id, code, percent, used) values ($1, $2, 'SPRING', 10, 1)", ("coupon",)),
    (
        """insert into coupon_redemption (tenant_id, booking_id, coupon_id, customer_id, discount_minor, currency)
        values ($1, $2, $3, $4, 100, 'EUR')""",
        ("booking", "coupon", "customer"),
    ),
    ("insert into booking_rule (tenant_id, rule, is_on) values ($1, 'tests.rule', false)", ()),
    ("insert into attendee (tenant_id, customer_id) values ($1, $2)", ("customer",)),
    (
        """insert into visitor_sign_in (tenant_id, id, email, asked_sha256, expires_at, created_at)
        values ($1, gen_random_uuid(), 'ann@example.org', sha256('x'), '2099-01-05T08:00Z', now())""",
        (),
    ),
    (
        """insert into visitor_session (tenant_id, id, email, token_sha256, user_agent, address, created_at, last_seen_at, expires_at)
        values ($1, gen_random_uuid(), 'ann@example.org', sha256('x'), 'Browser', '192.0.2.7', now(), now(), '2099-01-05T08:00Z')""",
        (),
    ),
    (
        """insert into booking_link (tenant_id, id, booking_id, secret_sha256, created_at)
        values ($1, gen_random_uuid(), $2, sha256('x'), now())""",
        ("booking",),
    ),
)


async def _met(caller: Any) -> UUID:
    """Let somebody have come with a token."""
    stage, now = caller.stage, datetime.now(UTC)
    who = {"issuer": "https://id.example.org", "subject": "ann", "email": "ann@example.org", "name": "Ann"}
    async with stage.db.tenant(stage.tenant_id) as tx:
        return (await external_users.meet(tx, tenant_id=stage.tenant_id, now=now, **who)).id
