"""What apprise's services are really sent, and what a business may not reach with a webhook."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from alerts.receiving import receiving
from bursar.alerts import addresses, sending
from bursar.alerts.sending import Notice, NoticeNotSent, send, send_to_any
from bursar.kernel.settings import Settings

pytestmark = pytest.mark.anyio

NOTICE = Notice(
    id="aln_1", what="opened", alert="alr_1", rule="payment_failures", title="Payments fail", severity="critical", subject="gwa_1",
    whose="Harbour Yoga", value="40 %", occurrences=12, detail="12 of 30 payments failed", advice="Look at the newest.",
    runbook="docs/how-to/runbooks.md#payment-failures", link="https://pay.example.org/alerts/alr_1", first_seen_at="2026-03-01 12:00 UTC",
)  # fmt: skip
SLACK = "slack://TAAAAAAAA/BAAAAAAAA/cccccccccccccccccccccccc?retry=9&wait=300"
TWILIO = f"twilio://AC{'a' * 32}:{'b' * 32}@15551234567/15557654321"
HERE = Settings(alert_networks="127.0.0.0/8")


def _plugin(url: str) -> Any:
    return type(addresses.plugin(url))


async def test_slack_is_sent_what_is_wrong_and_what_to_do(monkeypatch):
    async with receiving() as receiver:
        monkeypatch.setattr(_plugin(SLACK), "webhook_url", f"http://127.0.0.1:{receiver.port}/services")
        await send("slack", SLACK, NOTICE, settings=HERE)
        receiver.status = 500
        with pytest.raises(NoticeNotSent, match="Slack"):
            await send("slack", SLACK, NOTICE, settings=HERE)

    assert len(receiver.taken) == 2, "the job tries again, not the thread"
    said = str(receiver.taken[0])
    assert "Payments fail" in said
    assert "12 of 30 payments failed" in said
    assert "Look at the newest." in said


async def test_pagerduty_s_incident_ends_when_the_alert_does(monkeypatch):
    url = "pagerduty://integration@apikey"
    module = __import__(_plugin(url).__module__, fromlist=["x"])
    async with receiving() as receiver:
        for region in list(module.PAGERDUTY_API_LOOKUP):
            monkeypatch.setitem(module.PAGERDUTY_API_LOOKUP, region, f"http://127.0.0.1:{receiver.port}/v2/enqueue")
        receiver.status = 202
        for what in ("opened", "reminded", "resolved"):
            await send("pagerduty", url, replace(NOTICE, what=what), settings=HERE)

    assert [body["event_action"] for body in receiver.taken] == ["trigger", "trigger", "resolve"]
    assert {body["dedup_key"] for body in receiver.taken} == {"alr_1"}


async def test_an_sms_is_one_line(monkeypatch):
    async with receiving() as receiver:
        plugin = _plugin(TWILIO)
        monkeypatch.setattr(plugin, "notify_sms_url", f"http://127.0.0.1:{receiver.port}/Messages.json")
        receiver.status = 201
        await send("sms", TWILIO, NOTICE, settings=HERE)

    assert parse_qs(receiver.taken[0]["form"])["Body"] == ["[critical] Payments fail (gwa_1), Harbour Yoga"]


async def test_a_mail_says_what_to_do(tmp_path):
    await send("email", "mailto:ann@example.org", NOTICE, settings=Settings(data=tmp_path))

    (mail,) = (tmp_path / "outbox").glob("*.eml")
    text = mail.read_text()
    assert "Subject: [critical] Payments fail (gwa_1), Harbour Yoga" in text
    assert "What to do: Look at the newest." in text


async def test_a_name_that_leads_into_a_private_network_is_not_called():
    async with receiving() as receiver:
        url = f"http://localhost:{receiver.port}/hook"
        for settings in (Settings(), Settings(alert_networks="10.0.0.0/8")):
            with pytest.raises(NoticeNotSent):
                await send("webhook", url, NOTICE, settings=settings)
        assert receiver.heads == []
        await send("webhook", url, NOTICE, settings=HERE)
        assert await send_to_any(f"nothing://x {url}", NOTICE, settings=Settings()) == "address 2 of BURSAR_ALERT_URLS"

    assert len(receiver.taken) == 2
    assert f"host: localhost:{receiver.port}" in receiver.heads[0].lower()
    assert "webhook-id: aln_1" in receiver.heads[0]


async def test_an_answer_that_leads_elsewhere_is_not_followed_and_silence_has_an_end(monkeypatch):
    async with receiving() as receiver:
        receiver.status = 302
        with pytest.raises(NoticeNotSent, match="302"):
            await send("webhook", receiver.url, NOTICE, settings=HERE)
        monkeypatch.setattr(sending, "WHOLE_S", 0.0)
        with pytest.raises(NoticeNotSent, match="no answer"):
            await send("webhook", receiver.url, NOTICE, settings=HERE)
