"""The sandbox on its bad days: what was done is done, whatever the caller was told."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from sandboxing import SECRET, Sandbox, inbox, sandbox_at


async def test_a_lost_answer_was_done_once_and_the_key_finds_it(sandbox: Sandbox) -> None:
    await sandbox.control("misbehave", {"lose": 1})
    with pytest.raises(httpx2.HTTPError):
        await sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one")
    await sandbox.control("behave", {})

    again = await sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one")

    assert again.headers["idempotent-replayed"] == "true"
    assert [one["name"] for one in (await sandbox.done("GET", "/v1/customers"))["data"]] == ["Ann"]


@pytest.mark.parametrize(("is_kept", "then"), [(False, 200), (True, 500)])
async def test_a_failure_did_nothing_and_frees_the_key_unless_it_is_kept(
    sandbox: Sandbox, *, is_kept: bool, then: int
) -> None:
    await sandbox.control("misbehave", {"fail": 1, "fail_is_kept": is_kept})
    failed = await sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one")
    await sandbox.control("behave", {})

    again = await sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one")

    assert (failed.status_code, failed.json()["error"]["type"], again.status_code) == (500, "api_error", then)
    assert again.headers.get("idempotent-replayed") == ("true" if is_kept else None)
    assert len((await sandbox.done("GET", "/v1/customers"))["data"]) == (0 if is_kept else 1)


async def test_the_same_key_is_refused_while_its_request_runs(sandbox: Sandbox) -> None:
    await sandbox.control("misbehave", {"slow_s": 0.5})
    first = asyncio.create_task(sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one"))
    await asyncio.sleep(0.2)

    second = await sandbox.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="one")

    assert (second.status_code, (await first).status_code) == (409, 200)
    assert second.json()["error"]["type"] == "idempotency_error"


async def test_a_late_answer_was_done_before(sandbox: Sandbox) -> None:
    await sandbox.control("misbehave", {"late": 1, "late_s": 0.6})
    begun = time.monotonic()
    asked = asyncio.create_task(sandbox.ask("POST", "/v1/customers", {"name": "Ann"}))
    await asyncio.sleep(0.3)

    done = (await sandbox.done("GET", "/v1/customers"))["data"]

    assert [one["name"] for one in done] == ["Ann"]
    assert ((await asked).status_code, time.monotonic() - begun >= 0.6) == (200, True)


async def test_down_and_limited_are_told_apart(sandbox: Sandbox) -> None:
    await sandbox.control("misbehave", {"down": "unavailable"})
    away = await sandbox.ask("GET", "/v1/customers")
    await sandbox.control("misbehave", {"down": "hang_up"})
    with pytest.raises(httpx2.HTTPError):
        await sandbox.ask("GET", "/v1/customers")
    await sandbox.control("misbehave", {"down": "no", "rate_limit": True})
    limited = await sandbox.ask("POST", "/v1/customers", {"name": "Ann"})

    assert (away.status_code, limited.status_code, limited.json()["error"]["code"]) == (503, 429, "rate_limit")
    await sandbox.control("behave", {})
    assert (await sandbox.done("GET", "/v1/customers"))["data"] == []


async def test_webhooks_are_doubled_and_left_out_by_the_same_dice(tmp_path: Path) -> None:
    counted = []
    for name in ("one", "two"):
        async with sandbox_at(tmp_path / name) as sandbox, inbox() as box:
            await sandbox.control("accounts", {"key": sandbox.key, "deliver_to": box.url, "secret": SECRET})
            await sandbox.control("misbehave", {"duplicate": 0.3, "drop": 0.3, "seed": 7})
            for number in range(20):
                await sandbox.done("POST", "/v1/customers", {"name": f"customer {number}"})
                await sandbox.until_attempted(number + 1)
            names = [event["data"]["object"]["name"] for event in box.events()]
            counted.append((len(names), len(set(names))))

    assert counted[0] == counted[1]
    assert counted[0][0] > counted[0][1] < 20


async def test_a_switch_that_is_none_is_refused(sandbox: Sandbox) -> None:
    headers = {"authorization": "Bearer sandbox-token-of-the-tests"}

    for wrong in ({"loose": 1}, {"lose": 2}, {"down": "yes"}, {"lose": True}):
        answer = await sandbox.http.post("/_sandbox/misbehave", json=wrong, headers=headers)
        assert answer.json()["error"]["code"] == "switch_invalid"
    stranger = await sandbox.http.post("/_sandbox/misbehave", json={"lose": 1})

    assert stranger.status_code == 401
    assert (await sandbox.control(""))["switches"]["lose"] == 0


async def test_evidence_with_a_file_is_taken_and_one_that_is_none_is_refused(sandbox: Sandbox) -> None:
    headers = {"authorization": f"Bearer {sandbox.key}"}
    file = {"file": ("receipt.pdf", b"%PDF-1.7 ...", "application/pdf")}

    made = await sandbox.http.post("/v1/files", data={"purpose": "dispute_evidence"}, files=file, headers=headers)
    program = {"file": ("receipt.exe", b"MZ", "application/octet-stream")}
    refused = await sandbox.http.post("/v1/files", data={"purpose": "dispute_evidence"}, files=program, headers=headers)

    assert (made.status_code, made.json()["filename"], made.json()["size"]) == (200, "receipt.pdf", 12)
    assert refused.status_code == 400
