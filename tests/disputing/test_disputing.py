"""A dispute is answered at its gateway, once: files are laid there first, and no crash leaves an answer in the middle."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from bursar.kernel import ids, jobs
from bursar.kernel.db import Transaction
from bursar.money import calls, disputing
from bursar.money.applying.sweeping import sweep_bodies
from bursar.money.desk import erase_customer
from bursar.money.disputing.reminding import KINDS, REMIND_DUE
from disputing.conftest import INQUIRED, Shop
from draining import bring_forward, drain

pytestmark = pytest.mark.anyio

LOST_KEPT_LOST_KEPT = 3
"""Of the sandbox's dice: which answers are lost, when one in two is."""
PDF = b"%PDF-1.7\n% a receipt of ten classes\n"


def shown(content: bytes = PDF, filename: str = "receipt.pdf", content_type: str = "application/pdf") -> dict[str, str]:
    return {"filename": filename, "content_type": content_type, "content": base64.b64encode(content).decode()}


async def test_evidence_with_a_file_arrives_and_is_handed_to_the_bank(shop: Shop):
    dispute = await shop.contested()
    path = f"/v1/disputes/{dispute}/evidence"

    draft = await shop.ask(
        path,
        {
            "texts": {"product_description": "Ten classes,\nof which eight were attended."},
            "files": {"receipt": shown()},
        },
    )
    kept = await shop.there()
    final = await shop.ask(path, {"texts": {"uncategorized_text": "winning_evidence"}, "is_final": True})

    assert (draft.status_code, draft.json()["status"]) == (201, "done"), draft.text
    assert (final.status_code, final.json()["is_final"]) == (201, True), final.text
    assert (kept["status"], kept["evidence"]["receipt"]) == ("needs_response", draft.json()["files"][0]["gateway_ref"])
    there = await shop.there()
    assert (there["status"], there["evidence"]["receipt"]) == ("won", kept["evidence"]["receipt"])
    told = (await shop.mine.get(f"/v1/disputes/{dispute}")).json()
    assert (told["status"], told["withdrawn_minor"], told["reinstated_minor"]) == ("won", 5000, 5000)
    assert told["evidence"]["texts"]["product_description"].startswith("Ten classes,\nof which")
    assert told["evidence"]["files"]["receipt"]["state"] == "succeeded"
    assert [answer["is_final"] for answer in told["answers"]] == [True, False]
    assert await shop.uploads() == 1


async def test_lost_answers_have_one_effect(shop: Shop):
    dispute = await shop.contested()
    await shop.sandbox.control("misbehave", {"lose": 0.5, "seed": LOST_KEPT_LOST_KEPT})
    body = {"texts": {"product_description": "Ten classes"}, "files": {"receipt": shown()}, "is_final": True}

    asked = asyncio.create_task(shop.mine.post(f"/v1/disputes/{dispute}/evidence", body, once="k1"))
    for _ in range(100):
        await bring_forward(shop.stage)
        await shop.work()
        await asyncio.sleep(0.02)
        if asked.done():
            break
    first = await asked
    again = await shop.mine.post(f"/v1/disputes/{dispute}/evidence", body, once="k1")

    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert (first.json()["status"], first.json()["id"]) == ("done", again.json()["id"])
    assert await shop.uploads() == 1
    assert (await shop.there())["evidence_details"]["submission_count"] == 1
    calls = await shop.stage.rows("select operation, state, attempts from gateway_call order by id")
    assert [(row["operation"], row["state"]) for row in calls] == [
        ("upload_file", "succeeded"),
        ("submit_evidence", "succeeded"),
    ]
    assert all(row["attempts"] > 1 for row in calls), calls


async def test_a_worker_that_dies_between_the_file_and_the_answer_leaves_nothing_in_the_middle(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    dispute = await shop.contested()
    deaths = []
    ask = calls.ask

    async def dying(tx: Transaction, **asked: Any) -> UUID:
        call_id = await ask(tx, **asked)
        if asked["call"].operation == "submit_evidence" and not deaths:
            deaths.append(call_id)
            raise RuntimeError("the worker dies here")
        return call_id

    monkeypatch.setattr(calls, "ask", dying)
    body = {"files": {"receipt": shown()}, "is_final": True}

    asked = asyncio.create_task(shop.mine.post(f"/v1/disputes/{dispute}/evidence", body))
    for _ in range(100):
        await shop.work()
        if deaths:
            break
        await asyncio.sleep(0.01)
    middle = await shop.stage.row("select state, ref, request from gateway_call")
    await bring_forward(shop.stage)
    await shop.work()
    answer = await asked

    assert (middle["state"], middle["ref"]) == ("asked", None)
    assert b"JVBERi0x" in middle["request"]
    assert (answer.status_code, answer.json()["status"]) == (201, "done"), answer.text
    assert await shop.uploads() == 1
    assert (await shop.there())["evidence_details"]["submission_count"] == 1


async def test_what_is_in_a_file_is_nowhere_once_it_lies_at_the_gateway_and_the_same_file_is_sent_once(shop: Shop):
    dispute = await shop.contested()
    path, body = f"/v1/disputes/{dispute}/evidence", {"files": {"receipt": shown(PDF + b"secret of Ann")}}

    first = await shop.ask(path, body)
    again = await shop.ask(path, body | {"is_final": True})

    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert first.json()["files"][0]["gateway_call"] == again.json()["files"][0]["gateway_call"]
    assert await shop.uploads() == 1
    kept = await shop.stage.rows("select request from gateway_call where operation = 'upload_file'")
    assert [row["request"][:16] for row in kept] == [b"let go: sha256 " + kept[0]["request"][15:16]]
    bodies = await shop.stage.rows("select convert_from(body, 'UTF8') as told from gateway_event_body")
    assert not [row for row in bodies if "receipt.pdf" in row["told"]]


NOT_TAKEN = {
    "program": (shown(b"MZ\x90 a program", "receipt.pdf"), 422, "evidence_file_invalid"),
    "other kind": (shown(b"\x89PNG\r\n\x1a\n"), 422, "evidence_file_invalid"),
    "empty": (shown(b""), 422, "evidence_file_invalid"),
    "no base64": (shown() | {"content": "JVBERi0%%%"}, 422, "evidence_file_invalid"),
    "too large": (shown(PDF + bytes(4 * 2**20)), 422, "evidence_file_invalid"),
    "20 MB": (shown(PDF + bytes(20 * 2**20)), 413, "body_too_large"),
    "unlisted": (shown() | {"content_type": "text/html"}, 422, "invalid"),
}


async def test_a_file_that_no_bank_takes_is_refused_before_anything_is_asked(shop: Shop):
    dispute = await shop.contested()
    told = {}

    for name, (file, *_) in NOT_TAKEN.items():
        answer = await shop.mine.post(f"/v1/disputes/{dispute}/evidence", {"files": {"receipt": file}})
        told[name] = (answer.status_code, answer.json()["code"])

    assert told == {name: (status, code) for name, (_, status, code) in NOT_TAKEN.items()}
    assert await shop.stage.value("select count(*) from gateway_call") == 0
    assert await shop.stage.value("select count(*) from dispute_answer") == 0


async def test_a_dispute_is_answered_once_and_in_time(shop: Shop):
    dispute = await shop.contested()
    path, final = f"/v1/disputes/{dispute}/evidence", {"texts": {"product_description": "x"}, "is_final": True}

    async def refused(at: str, body: Any = None) -> tuple[int, str]:
        answer = await shop.mine.post(at, body)
        assert answer.json()["hint"]
        return answer.status_code, answer.json()["code"]

    assert await refused(path, {"is_final": True}) == (422, "evidence_missing")
    asked = asyncio.create_task(shop.mine.post(path, final))
    while not await shop.stage.value("select count(*) from gateway_call"):
        await asyncio.sleep(0.01)
    assert await refused(path, final) == (409, "dispute_answer_open")
    assert await refused(f"/v1/disputes/{dispute}/acceptances") == (409, "dispute_answer_open")
    await shop.work()
    assert (await asked).status_code == 201
    # The report has not been applied yet; the answer itself says that it was given.
    assert await refused(path, final) == (409, "dispute_answered")
    await shop.report()
    assert await refused(path, final) == (409, "dispute_answered")

    second = await shop.contested()
    shop.clock.ahead = timedelta(days=30)
    assert await refused(f"/v1/disputes/{second}/evidence", final) == (409, "dispute_overdue")
    assert await refused(f"/v1/disputes/{second}/acceptances") == (409, "dispute_overdue")
    shop.clock.ahead = timedelta()
    accepted = await shop.ask(f"/v1/disputes/{second}/acceptances")
    assert (accepted.status_code, accepted.json()["kind"]) == (201, "acceptance"), accepted.text
    assert (await shop.mine.get(f"/v1/disputes/{second}")).json()["status"] == "lost"
    assert await refused(f"/v1/disputes/{second}/evidence", final) == (409, "dispute_closed")
    assert await shop.stage.value("select count(*) from gateway_call") == 2


async def test_the_same_acceptance_at_the_same_time_is_one(shop: Shop):
    dispute_id, answer_id = ids.parse(ids.DISPUTE, await shop.contested()), ids.new()
    tenant_id = shop.stage.tenant_id

    async def accept(meanwhile: asyncio.Event) -> UUID:
        async with shop.stage.db.tenant(tenant_id) as tx:
            one = {"tenant_id": tenant_id, "dispute_id": dispute_id, "actor": "test", "now": shop.clock()}
            given = await disputing.accept(tx, **one, answer_id=answer_id)
            await meanwhile.wait()
            return given

    waiting = asyncio.Event()
    both = [asyncio.create_task(accept(waiting)) for _ in range(2)]
    await asyncio.sleep(0.2)
    waiting.set()

    assert await asyncio.gather(*both) == [answer_id, answer_id]
    assert await shop.stage.value("select count(*) from dispute_answer") == 1
    assert await shop.stage.value("select count(*) from gateway_call") == 1


async def test_an_inquiry_that_becomes_a_dispute_is_answered_again(shop: Shop):
    dispute = await shop.contested(INQUIRED)
    path = f"/v1/disputes/{dispute}/evidence"

    first = await shop.ask(path, {"texts": {"uncategorized_text": "escalate_inquiry_evidence"}, "is_final": True})
    told = (await shop.mine.get(f"/v1/disputes/{dispute}")).json()
    second = await shop.ask(path, {"texts": {"uncategorized_text": "winning_evidence"}, "is_final": True})

    assert (first.status_code, told["status"], told["is_inquiry"]) == (201, "needs_response", False), told
    assert (second.status_code, (await shop.there())["status"]) == (201, "won"), second.text


async def test_a_refusal_of_the_gateway_is_told_and_another_answer_may_be_given(shop: Shop):
    dispute = await shop.contested()
    ref = (await shop.there())["id"]
    await shop.sandbox.done("POST", f"/v1/disputes/{ref}/close")

    answer = await shop.ask(f"/v1/disputes/{dispute}/evidence", {"texts": {"product_description": "x"}})

    assert (answer.status_code, answer.json()["code"]) == (422, "dispute_answer_refused"), answer.text
    told = (await shop.mine.get(f"/v1/disputes/{dispute}")).json()
    assert (told["answers"][0]["status"], told["status"], told["evidence"]["texts"]) == ("refused", "lost", {})


async def test_nobody_answers_another_business_s_dispute(shop: Shop):
    dispute = await shop.contested()
    body = {"texts": {"product_description": "x"}}

    answer = await shop.theirs.post(f"/v1/disputes/{dispute}/evidence", body)
    conceded = await shop.theirs.post(f"/v1/disputes/{dispute}/acceptances")

    assert {(a.status_code, a.json()["code"]) for a in (answer, conceded)} == {(404, "dispute_not_found")}
    assert await shop.theirs.data("/v1/disputes") == []
    soon = await shop.mine.data("/v1/disputes", status="needs_response", due_before="2099-01-01T00:00:00Z")
    assert [found["id"] for found in soon] == [dispute]
    assert await shop.mine.data("/v1/disputes", due_before="2020-01-01T00:00:00Z") == []


async def test_that_a_dispute_is_due_soon_is_told_once_and_not_of_one_that_is_answered(shop: Shop):
    dispute = await shop.contested()
    told = "select count(*) from outbox where topic = 'dispute.due_soon'"

    async def remind() -> int:
        async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
            await jobs.enqueue(tx, tenant_id=shop.stage.tenant_id, kind=REMIND_DUE, key="now")
        await drain(shop.stage, KINDS, dispute_due_soon_days=3)
        return int(await shop.stage.value(told))

    async def due_in(days: int) -> None:
        async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
            await tx.execute("update dispute set due_by = now() + $1 * interval '1 day'", days)

    assert await remind() == 0
    await due_in(2)
    assert (await remind(), await remind()) == (1, 1)
    assert await shop.stage.value("select subject from outbox where topic = 'dispute.due_soon'") == dispute
    await shop.ask(f"/v1/disputes/{dispute}/evidence", {"texts": {"uncategorized_text": "x"}, "is_final": True})
    await due_in(1)
    assert await remind() == 1


async def test_an_erased_person_is_in_no_answer_and_an_export_has_them_before(shop: Shop):
    dispute = await shop.contested()
    words = {"customer_name": "Ann Abara", "shipping_address": "4 Quiet Lane"}
    await shop.ask(
        f"/v1/disputes/{dispute}/evidence", {"texts": words, "files": {"receipt": shown(filename="ann-abara.pdf")}}
    )
    customer = (await shop.mine.data("/v1/customers"))[0]["id"]
    exported = (await shop.mine.post(f"/v1/customers/{customer}/exports")).json()
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        now = datetime.now(UTC)
        await erase_customer(
            tx, tenant_id=shop.stage.tenant_id, customer_id=ids.parse(ids.CUSTOMER, customer), ground="requested", actor="operator", now=now
        )  # fmt: skip
    await shop.stage.apply()
    await sweep_bodies(shop.stage.db, tenant_id=shop.stage.tenant_id, now=now)
    told = (await shop.mine.get(f"/v1/disputes/{dispute}")).json()

    answers = exported["dispute_answers"]
    assert [each["texts"] for each in answers] == [words]
    assert [(each["filename"], each["content"]) for each in answers[0]["files"]] == [("ann-abara.pdf", None)]
    assert (told["answers"][0]["texts"], told["answers"][0]["files"][0]["filename"]) == ({}, "erased")
    for table in ("dispute_answer", "dispute_answer_file"):
        assert await shop.stage.value(f"select count(*) from {table} t where t::text ~* 'abara|quiet'") == 0
    for column, table in (("request", "gateway_call"), ("body", "gateway_event_body")):
        assert (
            await shop.stage.value(
                f"select count(*) from {table} where convert_from({column}, 'UTF8') ~* 'abara|quiet'"
            )
            == 0
        )
