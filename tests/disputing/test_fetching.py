"""One object that no webhook told of is fetched and merged as if one had."""

import pytest

from disputing.conftest import Shop

pytestmark = pytest.mark.anyio


async def test_an_object_that_was_never_reported_is_fetched_and_merged_once(shop: Shop):
    made = await shop.sandbox.done("POST", "/v1/customers", {"email": "ann@example.com", "name": "Ann Abara"})
    path, body = f"/v1/gateway-accounts/{await account_of(shop)}/fetches", {"kind": "customer", "ref": made["id"]}
    unknown = await shop.mine.data("/v1/customers")

    first = await shop.mine.post(path, body, once="k1")
    await shop.stage.apply()
    again = await shop.mine.post(path, body, once="k1")
    await shop.stage.apply()
    await shop.report()

    assert unknown == []
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert (first.json()["kind"], first.json()["ref"]) == ("customer", made["id"])
    event = (await shop.mine.get(f"/v1/gateway-events/{first.json()['event']}")).json()
    assert (event["type"], event["status"]) == ("bursar.object_reported", "applied")
    assert (await shop.mine.one("/v1/customers"))["name"] == "Ann Abara"
    record = await shop.mine.data("/v1/audit-records", action="gateway_object.fetched")
    assert {each["changes"]["ref"] for each in record} == {made["id"]}
    assert await shop.stage.value("select count(*) from idempotency_answer") == 0


async def test_what_is_not_there_and_whose_it_is_not_is_refused(shop: Shop):
    made = await shop.sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
    path = f"/v1/gateway-accounts/{await account_of(shop)}/fetches"

    told = {
        ref: (answer.status_code, answer.json()["code"])
        for ref, body in {
            "absent": {"kind": "customer", "ref": "cus_absent"},
            "other kind": {"kind": "payment", "ref": made["id"]},
            "unknown kind": {"kind": "file", "ref": "file_1"},
            "no name": {"kind": "customer", "ref": "../charges"},
            "not shown": {"kind": "licence_key", "ref": "lic_1"},
        }.items()
        for answer in [await shop.mine.post(path, body)]
    }
    crossing = await shop.theirs.post(path, {"kind": "customer", "ref": made["id"]})

    assert told == {
        "absent": (404, "gateway_object_not_found"),
        "other kind": (404, "gateway_object_not_found"),
        "unknown kind": (422, "invalid"),
        "no name": (422, "invalid"),
        "not shown": (422, "operation_unsupported"),
    }
    assert (crossing.status_code, crossing.json()["code"]) == (404, "gateway_account_not_found")
    assert await shop.stage.value("select count(*) from gateway_event") == 0


async def account_of(shop: Shop) -> str:
    return str((await shop.mine.one("/v1/gateway-accounts"))["id"])
