"""Tickets and form tokens: signed, dated, each good for its own door only."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import ids
from bursar.kernel.seal import SecretKeyWrong
from bursar.web.tickets import TICKET_LIFE, TicketInvalid, form_token, make_ticket, read_ticket

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
OTHER = base64.urlsafe_b64encode(b"o" * 32).decode()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TENANT = ids.new()
SECOND = timedelta(seconds=1)


def test_a_ticket_admits_to_its_tenant_for_ten_minutes():
    ticket = make_ticket(KEY, TENANT, NOW)

    assert read_ticket(KEY, ticket, NOW + TICKET_LIFE - SECOND) == TENANT
    with pytest.raises(TicketInvalid):
        read_ticket(KEY, ticket, NOW + TICKET_LIFE)


def test_no_changed_byte_is_accepted():
    ticket = make_ticket(KEY, TENANT, NOW)
    raw = bytearray(base64.urlsafe_b64decode(ticket + "=" * (-len(ticket) % 4)))

    for place in range(len(raw)):
        changed = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        with pytest.raises(TicketInvalid):
            read_ticket(KEY, base64.urlsafe_b64encode(changed).decode().rstrip("="), NOW)


@pytest.mark.parametrize("text", ["", "x", "é" * 10, "=" * 20, "A" * 140, "A" * 100_000, "\x00", "a b"])
def test_what_is_no_ticket_admits_nobody(text: str):
    with pytest.raises(TicketInvalid):
        read_ticket(KEY, text, NOW)


def test_another_installation_s_key_opens_nothing():
    with pytest.raises(TicketInvalid):
        read_ticket(OTHER, make_ticket(KEY, TENANT, NOW), NOW)


def test_an_empty_or_short_secret_signs_nothing():
    for secret in ("", "c2hvcnQ", "not base64url!"):
        with pytest.raises(SecretKeyWrong):
            make_ticket(secret, TENANT, NOW)


def test_each_session_has_a_form_token_of_its_own():
    session = ids.new()

    assert form_token(KEY, session) == form_token(KEY, session)
    assert len({form_token(key, one) for key in (KEY, OTHER) for one in (session, ids.new())}) == 4
