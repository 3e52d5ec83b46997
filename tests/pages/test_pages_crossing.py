"""Nothing of one business is seen or touched from the pages of another."""

import pytest
from visitors import Markup, Site, Visitor, live

_OBJECTS = {
    "/events/{}": ("evt", "select id from gateway_event order by id limit 1"),
    "/events/{}/body": ("evt", "select id from gateway_event order by id limit 1"),
    "/payments/{}": ("pay", "select id from payment where gateway_ref = 'pi_1'"),
    "/payments?customer={}": ("cus", "select id from customer where gateway_ref = 'cus_ann'"),
    "/customers/{}": ("cus", "select id from customer where gateway_ref = 'cus_ann'"),
    "/subscriptions/{}": ("sub", "select id from subscription where gateway_ref = 'sub_1'"),
    "/disputes/{}": ("dp", "select id from dispute where gateway_ref = 'dp_9'"),
    "/jobs/{}": ("job", "select id from job where state = 'dead'"),
    "/unmatched/{}": ("pur", "select id from purchase where is_paid and unmatched_reason is not null"),
}


@pytest.mark.parametrize("path", list(_OBJECTS))
async def test_another_business_s_id_leads_nowhere(shared_site: Site, shared: Visitor, path: str):
    prefix, query = _OBJECTS[path]
    address = path.format(await shared.id_of(prefix, query))
    assert (await shared.get(address)).status_code == 200

    answer = await shared_site.empty.get(address)

    if path.startswith("/payments?"):
        assert "No payment fits" in answer.text
    else:
        assert answer.status_code in (404, 409)
    assert "Ann Abara" not in answer.text
    assert "pi_1" not in answer.text


async def test_no_list_shows_another_business_s_rows(shared_site: Site, shared: Visitor):
    for path in (
        "/",
        "/events",
        "/payments",
        "/subscriptions",
        "/customers",
        "/dead",
        "/unmatched",
        "/books",
        "/catalog",
        "/checks",
        "/disputes",
        "/jobs",
        "/reconciliation",
    ):
        text = await shared_site.empty.page(path)
        assert not [link for link in Markup(text).values("id") if link.startswith("row-")], path
        assert "Ann" not in text, path
        assert "Harbour" not in text, path


@pytest.mark.parametrize(
    "query", ["pi_1", "ch_1", "cus_ann", "ann@example.com", "cs_1", "sub_1", "pack-10", "evt_00000001"]
)
async def test_the_search_finds_only_what_is_one_s_own(shared_site: Site, shared: Visitor, query: str):
    answer = await shared_site.empty.get(f"/search?q={query}")

    assert answer.status_code == 200
    assert "Nothing answers to that" in answer.text


async def test_the_same_gateway_ids_on_both_sides_stay_apart(shared_site: Site, shared: Visitor):
    own = await shared_site.empty.id_of("ten", "select tenant_id from tenant")
    payment_id = await shared.id_of("pay", "select id from payment where gateway_ref = 'pi_1'")

    found = await shared.get("/search?q=pi_1")

    assert found.headers["location"] == f"/payments/{payment_id}"
    assert own not in (await shared.page("/"))


async def test_another_business_s_events_cannot_be_replayed(site: Site, lived: Visitor):
    event_id = await lived.id_of("evt", "select event_id from gateway_event_dead order by event_id limit 1")

    one = await site.empty.post(f"/events/{event_id}/replay")
    from_list = await site.empty.post("/dead/replay", {"event": event_id})

    assert (one.status_code, from_list.status_code) == (404, 404)
    assert await lived.stage.value("select count(*) from gateway_event_dead") == 2
    assert await site.empty.stage.value("select count(*) from gateway_event_replay") == 0


async def test_another_business_s_money_cannot_be_assigned(site: Site, lived: Visitor):
    purchase_id = await lived.id_of("pur", "select id from purchase where is_paid and unmatched_reason is not null")
    price_id = await lived.id_of("price", "select id from price limit 1")

    answer = await site.empty.post(f"/unmatched/{purchase_id}/assign", {"price": price_id, "quantity": "1"})

    assert answer.status_code == 409
    assert await lived.stage.value("select count(*) from gateway_event where origin = 'operator'") == 0


async def test_a_form_of_one_session_is_worth_nothing_in_another(site: Site, lived: Visitor):
    await live(site.lived.stage)
    event_id = await lived.id_of("evt", "select event_id from gateway_event_dead order by event_id limit 1")

    answer = await lived.post(f"/events/{event_id}/replay", {"form_token": await site.empty.token()})

    assert answer.status_code == 403
