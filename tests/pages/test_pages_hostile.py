"""Hostile values: whatever a gateway, a customer or a visitor wrote is shown as text, cut short, and does nothing."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from visitors import Markup, Visitor

from bursar.kernel import ids
from bursar.money.intake.filing import Filing, file_events
from stage import event, intent, session

SCRIPT = "<script>alert(1)</script>"
NASTY = [
    SCRIPT,
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "\u202egnp.exe\u202c",
    "a\u2066b\u2069c\u200bd",
    "\x01\x1b[31mred",
    "Zażółć 漢字 🤝 e\u0301",
    "' or 1=1; drop table payment; --",
    "x" * 100_000,
    "</pre></code></title></style>",
    "&lt;b&gt;&amp;",
]


async def _customer(visitor: Visitor, text: str) -> None:
    await visitor.stage.tell(
        event(
            "customer.created", {"id": "cus_nasty", "object": "customer", "name": text, "email": text, "phone": text}
        ),
        event(
            "payment_intent.succeeded",
            intent("n", customer="cus_nasty", description=text, metadata={"bursar_price": text}),
        ),
        event("checkout.session.completed", session("n", customer="cus_nasty", metadata={"bursar_price": text})),
        event("charge.failed", {"id": "ch_n", "object": "charge", "failure_message": text}),
    )
    async with visitor.stage.db.tenant(visitor.stage.tenant_id) as tx:
        # What the gateway's adapter would have cut short, as an API or a later version might let it in.
        await tx.execute(
            "update customer set name = $2, email = $2, phone = $2 where tenant_id = $1", visitor.stage.tenant_id, text
        )
        await tx.execute(
            "update product set name = $2, description = $3 where tenant_id = $1",
            visitor.stage.tenant_id,
            text[:200],
            text,
        )


@pytest.mark.parametrize("text", NASTY, ids=range(len(NASTY)))
async def test_hostile_text_is_shown_and_does_nothing(lived: Visitor, text: str):
    await _customer(lived, text)
    payment_id = await lived.id_of("pay", "select id from payment where gateway_ref = 'pi_n'")
    customer_id = await lived.id_of("cus", "select id from customer where gateway_ref = 'cus_nasty'")
    events = [
        ids.show("evt", row["id"])
        for row in await lived.stage.rows("select id from gateway_event order by id desc limit 4")
    ]

    for path in ("/", "/events", "/payments", "/customers", "/unmatched", "/dead", "/books", "/catalog",
                 f"/payments/{payment_id}", f"/customers/{customer_id}", *(f"/events/{e}" for e in events)):  # fmt: skip
        page = await lived.page(path)
        markup = Markup(page)
        assert not markup.crossed, path
        assert len(page) < 700_000, (path, len(page))
        assert not [attrs for attrs in markup.all("script") if not (attrs.get("src") or "").startswith("/static/")], (
            path
        )
        assert not markup.all("img"), path
        assert not [name for _, attrs in markup.elements for name in attrs if name.startswith("on")], path
        assert not [href for href in markup.values("href") if href.startswith("javascript")], path
        assert not set(page) & set("\u202e\u202c\u2066\u2069\u200b\x01\x1b"), path


async def test_a_template_in_a_name_is_not_run(lived: Visitor):
    await _customer(lived, "{{ 7 * 7 }}")

    assert "{{ 7 * 7 }}" in Markup(await lived.page("/customers")).text


async def test_a_direction_override_is_made_visible(lived: Visitor):
    await _customer(lived, "\u202egnp.exe")

    assert "‹U+202E›gnp.exe" in Markup(await lived.page("/customers")).text


async def _store(visitor: Visitor, body: bytes, headers: dict[str, str] | None = None) -> str:
    filing = Filing(
        ids.new(), visitor.stage.tenant_id, visitor.stage.account_id, f"evt_{ids.encode(ids.new())}", "charge.succeeded", "gateway",
        datetime.now(UTC), headers or {}, body, None,
    )  # fmt: skip
    async with visitor.stage.db.engine() as tx:
        filed = await file_events(tx, [filing])
    return ids.show("evt", filed[0].id)


BODIES: list[Any] = [
    b"",
    b"\x00\x01\x02",
    b"\xff\xfe\x00<",
    b"[" * 100_000,
    b'{"a":' * 30_000 + b"1" + b"}" * 30_000,
    b"[1" + b",1" * 400_000 + b"]",
    b'{"a":"' + b"x" * 900_000 + b'"}',
    b'{"a":' + b"9" * 200_000 + b"}",
    json.dumps({"a": SCRIPT, SCRIPT: "</pre>"}).encode(),
    b'{"a":"\\u0000\\ud800","a":NaN}',
    b"<html>" + SCRIPT.encode() + b"</html>",
    ("{" + '"\u202e":"\u2066"' + "}").encode(),
    b'{"created": 9999999999, "x_at": 1999999999, "t": "' + b"\\" * 1001 + b'"',
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
async def test_any_body_is_shown_in_bounds_and_saved_as_it_came(shared: Visitor, body: bytes):
    event_id = await _store(shared, body)

    page = await shared.page(f"/events/{event_id}")
    saved = await shared.get(f"/events/{event_id}/body")

    assert not Markup(page).crossed
    assert len(page) < 700_000
    assert SCRIPT not in page
    assert saved.content == body
    assert saved.headers["content-type"] == "application/octet-stream"
    assert saved.headers["content-disposition"] == f'attachment; filename="{event_id}.txt"'
    assert "sandbox" in saved.headers["content-security-policy"]


async def test_headers_of_a_delivery_are_text(shared: Visitor):
    event_id = await _store(shared, b"{}", headers={"user-agent": SCRIPT, "x": "\u202e" + "y" * 5000})

    page = await shared.page(f"/events/{event_id}")

    assert SCRIPT not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


@pytest.mark.parametrize(
    "query",
    [*(text[:2000] for text in NASTY), "\x00", "%00", "evt_" + "z" * 26, "é" * 160, "a" * 321, " ", "cus_\u202e"],
    ids=range(len(NASTY) + 7),
)
async def test_any_search_is_answered(shared: Visitor, query: str):
    answer = await shared.http.get("/search", params={"q": query}, headers={"accept": "text/html"})

    assert answer.status_code in (200, 400)
    assert SCRIPT not in answer.text
    assert not Markup(answer.text).crossed


@pytest.mark.parametrize("text", [SCRIPT, "a\x00b", "\u202e", "x" * 255, "%", "*"])
async def test_any_filter_is_answered(shared: Visitor, text: str):
    for path, name in (("/events", "type"), ("/dead", "cause"), ("/customers", "q")):
        answer = await shared.http.get(path, params={name: text}, headers={"accept": "text/html"})
        assert answer.status_code in (200, 303, 400), (path, answer.status_code)
        assert SCRIPT not in answer.text


async def test_a_lone_surrogate_in_an_address_breaks_nothing(shared: Visitor):
    for path in ("/search?q=%ed%a0%80", "/events?type=%ed%a0%80", "/events/%ff", "/customers?q=%c3%28"):
        assert (await shared.get(path)).status_code in (200, 400, 404)


@pytest.mark.parametrize("amount", [0, 1, 2**53 - 1, 2**62])
async def test_any_amount_is_written_whole(lived: Visitor, amount: int):
    tenant_id = lived.stage.tenant_id
    async with lived.stage.db.tenant(tenant_id) as tx:
        await tx.execute(
            "update payment set amount_minor = $2, currency = 'JPY' where tenant_id = $1", tenant_id, amount
        )

    assert f"{amount:,}" in await lived.page("/payments")
    assert (await lived.get("/")).status_code == 200
