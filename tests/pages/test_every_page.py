"""Every page, for a business with a history and for one with none: it renders, is sound markup, and needs nobody else."""

import re
from datetime import UTC, datetime

import pytest
from visitors import Markup, Site, Visitor

from bursar.kernel import audit, ids
from bursar.money.applying.sweeping import sweep_bodies
from bursar.money.desk import erase_customer
from stage import event, intent

LISTS = [
    "/",
    "/payments",
    "/subscriptions",
    "/customers",
    "/disputes",
    "/unmatched",
    "/events",
    "/dead",
    "/catalog",
    "/books",
    "/checks",
    "/search",
    "/reports",
    "/reports/refunds",
    "/reports/conversion",
    "/reports/plans",
    "/reports/time-zone",
    "/audit",
    "/security",
    "/circuits",
    "/alerts",
    "/alerts/settings",
    "/storefront",
    "/jobs",
    "/sagas",
    "/reconciliation",
    "/schedule/week",
    "/schedule/templates",
    "/schedule/places",
    "/schedule/services",
    "/schedule/terms",
    "/packs",
    "/coupons",
]
FILTERED = [
    "/events?status=received", "/events?status=applied&type=invoice.paid&since=1h", "/events?status=ignored", "/events?status=failed",
    "/events?status=dead&since=7d", "/events?type=nothing", "/payments?status=succeeded", "/payments?status=failed", "/subscriptions?status=active",
    "/customers?q=nobody@example.com", "/dead?cause=0123456789abcdef", "/search?q=nothing", "/unmatched?done=assigned", "/jobs?state=dead&kind=tests.nothing",
    "/audit?actor=operator&since=24h", "/audit?action=price.added&subject=price_x", "/security?kind=key_refused&address=::1", "/alerts?state=open",
    "/reports?first_day=2025-10-01&last_day=2025-10-31", "/reports/refunds?first_day=2025-10-01&last_day=2025-10-31",
]  # fmt: skip


@pytest.mark.parametrize("path", [*LISTS, *FILTERED])
async def test_a_page_of_an_empty_business_says_what_to_do_next(shared_site: Site, path: str):
    text = await shared_site.empty.page(path)

    _is_sound(text)
    assert "Nothing yet" in text


async def test_every_page_of_a_business_with_a_history_is_reached_by_links_and_sound(shared: Visitor):
    seen: set[str] = set()
    ahead = [*LISTS, *FILTERED]
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = await shared.http.get(path, headers={"accept": "text/html"}, follow_redirects=True)
        assert answer.status_code == 200, path
        markup = _is_sound(answer.text)
        # Days follow one another for ever: a calendar that was turned is not turned on from there.
        is_turned = path.startswith("/day?")
        links = [
            (a.get("href") or "").partition("#")[0]
            for a in markup.all("a")
            if "download" not in a and not (is_turned and a.get("rel") in ("prev", "next"))
        ]
        ahead += [link for link in links if link.startswith("/") and not link.startswith("/docs") and link not in seen]
        assert len(seen) < 1000

    kinds = {re.sub(r"[a-z]{2,4}_[0-9a-z]{26}", "…", path.partition("?")[0]) for path in seen}
    assert kinds >= {*LISTS, "/events/…", "/payments/…", "/subscriptions/…", "/customers/…", "/unmatched/…", "/audit/…"}


def _is_sound(text: str) -> Markup:
    """Markup closes as it opens, names things once, labels its inputs, runs nothing inline, and stays at home."""
    markup = Markup(text)
    assert not markup.crossed, markup.crossed
    assert len(markup.all("main")) == len(markup.all("h1")) == 1
    identifiers = markup.values("id")
    assert len(identifiers) == len(set(identifiers)), identifiers
    labelled = set(markup.values("for"))
    for field in markup.all("input", "select"):
        if field.get("type") != "hidden" and field.get("id"):
            assert field["id"] in labelled, field
    assert not [attrs for attrs in markup.all("script") if not (attrs.get("src") or "").startswith("/static/")]
    assert not markup.all("style", "iframe", "object", "embed")
    assert not [name for _, attrs in markup.elements for name in attrs if name == "style" or name.startswith("on")]
    outside = [url for name in ("src", "href", "action", "hx-get") for url in markup.values(name) if "//" in url]
    assert not outside, outside
    assert not [column for column in markup.all("th") if "scope" not in column]
    return markup


async def test_the_overview_counts_what_waits_and_what_needs_a_person(lived: Visitor):
    await lived.stage.deliver(event("payment_intent.succeeded", intent("20")))

    text = Markup(await lived.page("/")).text

    assert "Waiting 1" in text
    assert "Dead letters 2 need a person" in text
    assert "Unmatched money 100.00 EUR" in text
    assert "books: not looked at yet" in text


async def test_a_broken_invariant_is_a_red_mark_on_every_page(lived: Visitor):
    tenant_id = lived.stage.tenant_id
    async with lived.stage.db.tenant(tenant_id) as tx:
        await tx.execute(
            """insert into invariant_sweep (tenant_id, checked_at, checked_through, checked_rows, failures)
            values ($1, now() - interval '32 s', now(), 5, $2::text::jsonb)""",
            tenant_id,
            '[{"name": "ledger_transactions_balance", "promises": "Entries sum to zero.", "ok": false, "checked": 5,'
            ' "offending": [{"ledger_transaction": "ltx_1", "sum_minor": 3}]}]',
        )

    overview, checks = await lived.page("/"), await lived.page("/checks")

    assert "books: 1 check fails" in Markup(overview).text
    assert "last looked 32 s ago" in Markup(overview).text
    assert re.search(r'badge tone-bad">1', await lived.page("/catalog"))
    assert "ledger transactions balance" in Markup(checks).text
    assert "Entries sum to zero." in checks
    assert "ltx_1" in checks


async def test_books_that_hold_say_so(lived: Visitor):
    async with lived.stage.db.tenant(lived.stage.tenant_id) as tx:
        await tx.execute(
            "insert into invariant_sweep (tenant_id, checked_at, checked_through, checked_rows) values ($1, now(), now(), 5)",
            lived.stage.tenant_id,
        )

    assert "books: every check holds , last looked now" in Markup(await lived.page("/")).text
    assert "every check holds" in await lived.page("/checks")


async def test_unmatched_money_past_its_grace_is_overdue(lived: Visitor):
    async with lived.stage.db.tenant(lived.stage.tenant_id) as tx:
        await tx.execute(
            "update purchase set first_seen_at = now() - interval '16 min' where tenant_id = $1", lived.stage.tenant_id
        )

    assert "overdue" in Markup(await lived.page("/unmatched")).text
    assert re.search(r'Unmatched <b class="badge tone-bad">1', await lived.page("/checks"))
    assert "overdue" in Markup(await lived.page("/")).text


async def test_a_sandbox_account_has_a_band_and_a_real_one_has_none(site: Site):
    assert 'class="band"' not in await site.lived.page("/")

    async with site.lived.stage.db.tenant(site.lived.stage.tenant_id) as tx:
        await tx.execute(
            "update gateway_account set gateway = 'sandbox', name = 'Play' where tenant_id = $1",
            site.lived.stage.tenant_id,
        )

    text = Markup(await site.lived.page("/")).text
    assert "Sandbox play money, no real payment happens here." in text


async def test_one_event_s_story_tells_what_came_and_what_it_did(shared: Visitor):
    event_id = await shared.id_of(
        "evt", "select event_id from ledger_transaction where source_kind = 'payment' and source_ref = 'pi_1'"
    )

    text = Markup(await shared.page(f"/events/{event_id}")).text

    for part in ("applied", "received, verified and stored", "succeeded payment 50.00 EUR", "granted credits",
                 "gateway:stripe 50.00 EUR", "sales 50.00 EUR", "+10 classes Ann Abara", '"object": "event"', "SHA-256"):  # fmt: skip
        assert part in text, part


async def test_a_dead_event_s_story_keeps_its_error(shared: Visitor):
    event_id = await shared.id_of("evt", "select event_id from gateway_event_dead order by event_id limit 1")

    text = Markup(await shared.page(f"/events/{event_id}")).text

    assert "attempt 1 failed" in text
    assert "rests as dead: retries exhausted" in text


async def test_a_payment_shows_its_refund_its_grants_its_books_and_who_told(shared: Visitor):
    payment_id = await shared.id_of("pay", "select id from payment where gateway_ref = 'pi_1'")

    text = Markup(await shared.page(f"/payments/{payment_id}")).text

    for part in ("50.00 EUR", "25.00 EUR returned", "Ann Abara", "pack-10", "10 classes credits, 5 taken back, 5 left",
                 "succeeded refund 25.00 EUR", "refunds 25.00 EUR", "charge.succeeded", "refund.created"):  # fmt: skip
        assert part in text, part


async def test_a_disputed_payment_says_so_and_by_when_to_answer(shared: Visitor):
    payment_id = await shared.id_of("pay", "select id from payment where gateway_ref = 'pi_9'")

    text = Markup(await shared.page(f"/payments/{payment_id}")).text

    assert "99.00 EUR disputed" in text
    assert "answer by 2025-10-20" in text
    assert "suspended licence python" in text


async def test_a_customer_shows_credits_rights_payments_and_movements(shared: Visitor):
    customer_id = await shared.id_of("cus", "select id from customer where gateway_ref = 'cus_ann'")

    text = Markup(await shared.page(f"/customers/{customer_id}")).text

    for part in (
        "Ann Abara",
        "ann@example.com",
        "13 classes",
        "feature unlimited_likes",
        "active membership",
        "taken -5 classes",
        "Refunded 25.00 EUR",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    ("status", "count"), [("received", 1), ("failed", 1), ("dead", 2), ("ignored", 1), ("applied", 10)]
)
async def test_each_state_lists_its_own_events(lived: Visitor, status: str, count: int):
    await lived.stage.deliver(event("charge.succeeded", {"id": "ch_late", "object": "charge"}))
    await lived.stage.apply()
    again = await lived.id_of("evt", "select event_id from gateway_event_outcome where outcome = 'ignored'")
    await lived.post(f"/events/{again}/replay")
    await lived.stage.apply()
    await lived.stage.deliver(event("product.updated", {"id": "prod_y", "object": "product"}))

    page = Markup(await lived.page(f"/events?status={status}"))

    assert len([row for row in page.values("id") if row.startswith("row-")]) == count


async def test_a_customer_is_found_by_address_and_by_the_gateway_s_id(shared: Visitor):
    customer_id = await shared.id_of("cus", "select id from customer where gateway_ref = 'cus_ann'")

    for query in ("ANN@Example.com", "cus_ann", customer_id, f" {customer_id} "):
        for path in ("/search", "/customers"):
            answer = await shared.http.get(path, params={"q": query})
            assert answer.headers.get("location") == f"/customers/{customer_id}", (path, query)


@pytest.mark.parametrize("query", ["pi_1", "ch_1", "re_1", "cs_1", "PAYMENT"])
async def test_whatever_names_a_payment_leads_to_it(shared: Visitor, query: str):
    payment_id = await shared.id_of("pay", "select id from payment where gateway_ref = 'pi_1'")

    answer = await shared.get(f"/search?q={payment_id if query == 'PAYMENT' else query}")

    assert answer.headers["location"] == f"/payments/{payment_id}"


async def test_a_name_that_several_things_have_gives_a_choice(lived: Visitor):
    async with lived.stage.db.tenant(lived.stage.tenant_id) as tx:
        await tx.execute("update customer set email = 'ann@example.com' where tenant_id = $1", lived.stage.tenant_id)

    text = Markup(await lived.page("/search?q=ann@example.com")).text

    assert "3 answer to ann@example.com" in text


async def test_a_list_goes_on_after_its_last_row(site: Site):
    await site.lived.stage.deliver(
        *(event("product.created", {"id": f"prod_{n}", "object": "product"}) for n in range(60))
    )

    first = Markup(await site.lived.page("/events"))
    older = next(link for link in first.values("href") if "before=" in link)
    second = Markup(await site.lived.page(older))

    rows = [[i for i in page.values("id") if i.startswith("row-")] for page in (first, second)]
    assert (len(rows[0]), len(rows[1])) == (50, 10)
    assert not set(rows[0]) & set(rows[1])


@pytest.mark.parametrize(
    "path",
    ["/events?status=nonsense", "/events?since=ever", "/events?before=pay_1", "/events/evt_nonsense", "/payments/x", "/customers/cus_",
     "/unmatched/pur_1", "/dead?replayed=-1", "/payments?customer=pay_1", "/books?before=x"],
)  # fmt: skip
async def test_a_nonsensical_address_is_refused_as_a_page(shared: Visitor, path: str):
    answer = await shared.get(path)

    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/html")
    assert "Traceback" not in answer.text


async def test_an_unknown_address_is_a_page_for_a_browser_and_a_problem_for_a_program(shared: Visitor):
    page = await shared.get("/nothing/here")
    problem = await shared.http.get("/v1/nothing", headers={"accept": "application/json"})

    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no page at this address." in page.text
    assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


async def test_every_page_forbids_inline_code_and_other_hosts(shared: Visitor):
    for path in (*LISTS, "/nothing", "/sign-in"):
        policy = (await shared.get(path)).headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy


async def test_a_bug_is_a_page_without_internals(lived: Visitor, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret internals")

    monkeypatch.setattr("bursar.web.pages.browsing.catalogue", broken)

    answer = await lived.get("/catalog")

    assert answer.status_code == 500
    assert "Something went wrong on our side." in answer.text
    assert "secret internals" not in answer.text
    assert answer.headers["x-correlation-id"] in answer.text


async def test_many_refused_keys_are_a_red_line_on_the_overview_and_counted_on_the_security_page(
    site: Site, lived: Visitor
):
    calm = Markup(await lived.page("/")).text
    del site.app.api.state.pages_memory
    security = site.app.resources.security
    refused = {"tenant_id": lived.stage.tenant_id, "kind": "key_refused", "actor": "", "detail": "GET /v1/payments"}
    for number in range(25):
        security.note(address=f"192.0.2.{number % 3}", **refused)
    await security.flush(lived.stage.db)

    alarmed = Markup(await lived.page("/")).text
    shown = Markup(await lived.page("/security?kind=key_refused")).text

    assert "refused keys" not in calm
    assert "security: 25 refused keys and sign-ins" in alarmed
    assert "192.0.2.2" in shown
    assert "GET /v1/payments" in shown


async def test_an_audit_record_shows_who_and_what_it_was_and_became(lived: Visitor):
    async with lived.stage.db.tenant(lived.stage.tenant_id) as tx:
        changes = audit.changed({"name": "<b>Old</b>"}, {"name": "New"})
        await audit.record(
            tx,
            tenant_id=lived.stage.tenant_id,
            actor="user:x",
            action="thing.renamed",
            subject="price_x",
            changes=changes,
        )

    listed = await lived.page("/audit?subject=price_x")
    href = next(a["href"] for a in Markup(listed).all("a") if a.get("href", "").startswith("/audit/aud_"))
    shown = Markup(await lived.page(href)).text

    assert "thing.renamed" in Markup(listed).text
    assert "<b>Old</b>" in shown
    assert "New" in shown
    assert "user:x" in shown


async def test_pages_of_an_erased_person_say_so_and_name_nobody(lived: Visitor):
    stage, now = lived.stage, datetime.now(UTC)
    customer_id = await stage.value("select id from customer where name = 'Ann Abara'")
    async with stage.db.tenant(stage.tenant_id) as tx:
        await erase_customer(
            tx, tenant_id=stage.tenant_id, customer_id=customer_id, ground="requested", actor="operator", now=now
        )
    await stage.apply(retries_max=1)
    await sweep_bodies(stage.db, tenant_id=stage.tenant_id, now=now)
    created = await lived.id_of(ids.EVENT, "select id from gateway_event where type = 'customer.created'")

    page = await lived.page(f"/customers/{ids.show(ids.CUSTOMER, customer_id)}")
    event_page = await lived.page(f"/events/{created}")

    _is_sound(page)
    assert "Erased person" in page
    assert "a person whom it named was erased" in event_page
    assert "Abara" not in page + event_page + await lived.page("/customers")
