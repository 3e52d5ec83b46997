"""Tickets and sessions: signed, dated, each good for its own door only."""

import base64
from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import ids
from bursar.kernel.seal import SecretKeyWrong
from bursar.web.pages import make_ticket
from bursar.web.pages.session import (
    SESSION_LIFE,
    TICKET_LIFE,
    TicketInvalid,
    form_token,
    make_session,
    read_session,
    read_ticket,
)

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


def test_a_session_lasts_twelve_hours_and_names_its_key():
    key_id = ids.new()

    token = make_session(KEY, tenant_id=TENANT, api_key_id=key_id, now=NOW)

    session = read_session(KEY, token, NOW + SESSION_LIFE - SECOND)
    assert session is not None
    assert (session.tenant_id, session.api_key_id, session.expires_at) == (TENANT, key_id, NOW + SESSION_LIFE)
    assert read_session(KEY, token, NOW + SESSION_LIFE) is None


def test_a_ticket_is_no_session_and_a_session_no_ticket():
    ticket = make_ticket(KEY, TENANT, NOW)
    token = make_session(KEY, tenant_id=TENANT, api_key_id=None, now=NOW)

    assert read_session(KEY, ticket, NOW) is None
    with pytest.raises(TicketInvalid):
        read_ticket(KEY, token, NOW)


def test_no_changed_byte_is_accepted():
    token = make_session(KEY, tenant_id=TENANT, api_key_id=None, now=NOW)
    raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))

    for place in range(len(raw)):
        changed = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        assert read_session(KEY, base64.urlsafe_b64encode(changed).decode().rstrip("="), NOW) is None


@pytest.mark.parametrize("token", ["", "x", "é" * 10, "=" * 20, "A" * 140, "A" * 100_000, "\x00", "a b"])
def test_what_is_no_token_is_nobody(token: str):
    assert read_session(KEY, token, NOW) is None


def test_another_installation_s_key_opens_nothing():
    assert read_session(OTHER, make_session(KEY, tenant_id=TENANT, api_key_id=None, now=NOW), NOW) is None


def test_an_empty_or_short_secret_signs_nothing():
    for secret in ("", "c2hvcnQ", "not base64url!"):
        with pytest.raises(SecretKeyWrong):
            make_ticket(secret, TENANT, NOW)


def test_each_session_has_a_form_token_of_its_own():
    tokens = {
        form_token(KEY, session)
        for _ in range(3)
        if (session := read_session(KEY, make_session(KEY, tenant_id=TENANT, api_key_id=None, now=NOW), NOW))
    }

    assert len(tokens) == 3
