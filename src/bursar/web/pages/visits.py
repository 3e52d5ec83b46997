"""A visit: who looks, at which tenant, and the one transaction that a page reads in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

from fastapi import Depends
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bursar.kernel.auth import Principal
from bursar.kernel.auth.refusals import FormRefused, observe_suspicion
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid, LimitExceeded
from bursar.kernel.http.suspicion import suspicions_of_json
from bursar.kernel.identity.recognising import Visitor
from bursar.kernel.identity.sessions import Session
from bursar.kernel.resources import Resources, resources_of
from bursar.web.pages.menu import menu_of
from bursar.web.pages.reads.shell import Shell, shell_of
from bursar.web.pages.remembering import Memory, memory_of
from bursar.web.pages.templating import render
from bursar.web.tickets import form_token

PROOF_LIFE = timedelta(minutes=10)
"""How long a password that was shown is enough for acts that give power to others."""
FORM_BYTES_MAX = 16_384
FORM_TIMEOUT_S = 10
_FIELDS_MAX = 64
_SECRET_FIELDS = frozenset(
    {"api_key", "again", "channel_url", "code", "form_token", "password", "present", "ticket", "token"}
)
"""What is typed there may look like anything, and says nothing about whoever typed it."""


class FormTooLarge(LimitExceeded):
    """The form is larger than any form here."""

    code = "form_too_large"
    status = 413


class FormTooSlow(LimitExceeded):
    """The form did not arrive in time."""

    code = "form_too_slow"
    status = 408


class FormInvalid(Invalid):
    """The form is not one of ours."""

    code = "form_invalid"


@dataclass(frozen=True, slots=True)
class Page:
    """An open page: its transaction, and what every page shows around it."""

    visit: "Visit"
    tx: Transaction
    shell: Shell

    def answer(self, template: str, *, fragment: str | None = None, status_code: int = 200, **views: Any) -> Response:
        """Return the page, or only its live part when htmx asks for that."""
        visit = self.visit
        name = fragment if fragment and visit.is_fragment else template
        return HTMLResponse(
            render(
                name,
                shell=self.shell,
                may=visit.may,
                asks_password=visit.asks_password,
                menu=menu_of(visit.principal.permissions),
                visitor=visit.session,
                now=visit.now,
                form_token=form_token(visit.resources.settings.secret_key, visit.session.id),
                path=visit.request.url.path,
                query=visit.request.query_params,
                **views,
            ),
            status_code,
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """An admitted visitor's request."""

    request: Request
    resources: Resources
    session: Session
    principal: Principal
    now: datetime

    @property
    def tenant_id(self) -> UUID:
        return self.principal.tenant_id

    @property
    def actor(self) -> str:
        """How the audit trail names this visitor."""
        return self.principal.actor

    def may(self, permission: str) -> bool:
        """True when the visitor has the permission: what they may not do is not offered."""
        return permission in self.principal.permissions

    @property
    def is_proven(self) -> bool:
        """True for users who showed their password lately. A key shows itself; whoever acts for a business does so for an hour."""
        return self.session.kind != "user" or self.now < self.session.proven_at + PROOF_LIFE

    @property
    def asks_password(self) -> bool:
        """True when forms of sensitive acts ask for the password: somewhat before it is required, as forms stay open."""
        return self.session.kind == "user" and self.now >= self.session.proven_at + PROOF_LIFE / 2

    @property
    def memory(self) -> Memory:
        return memory_of(self.request)

    @property
    def is_fragment(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    @property
    def grace(self) -> timedelta:
        """How long unmatched money may wait before it alarms."""
        return timedelta(seconds=self.resources.settings.unmatched_grace_s)

    @property
    def due_soon(self) -> timedelta:
        """How long before its day a dispute's answer is asked for with urgency."""
        return timedelta(days=self.resources.settings.dispute_due_soon_days)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Page]:
        """Open the page's one transaction."""
        async with self.resources.db.tenant(self.tenant_id) as tx:
            shell = await shell_of(
                tx,
                tenant_id=self.tenant_id,
                overdue_before=self.now - self.grace,
                now=self.now,
                due_before=self.now + self.due_soon,
            )
            yield Page(self, tx, shell)

    async def form(self) -> dict[str, str]:
        """Return the posted fields. Raises FormRefused unless they come from a form of this session."""
        return await checked_form(self.request, self.session.id)


async def checked_form(request: Request, session_id: UUID) -> dict[str, str]:
    """Return the posted fields of a form of this session. Raises FormRefused unless it is one."""
    fields = await posted(request)
    require_token(request, session_id, fields.pop("form_token", ""))
    return fields


def require_token(request: Request, session_id: UUID, given: str) -> None:
    """Refuse a post that is not of a form of ours, shown to this session. Raises FormRefused."""
    require_same_origin(request)
    expected = form_token(resources_of(request).settings.secret_key, session_id)
    if not _equal(given, expected):
        raise FormRefused("this form belongs to another session", hint="Go back, reload the page, and send it again.")


async def posted(request: Request) -> dict[str, str]:
    """Return the fields of a posted form, the last of equal names. Raises FormTooLarge, FormTooSlow, FormInvalid."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormInvalid("this is not a form")
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            body = await _bounded(request)
    except TimeoutError as error:
        raise FormTooSlow(f"the form did not arrive within {FORM_TIMEOUT_S} s") from error
    except ClientDisconnect as error:
        raise FormInvalid("the form did not arrive whole") from error
    try:
        fields = dict(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
        )
    except ValueError as error:
        raise FormInvalid("this is not a form that we can read") from error
    if found := suspicions_of_json({name: text for name, text in fields.items() if name not in _SECRET_FIELDS}):
        await observe_suspicion(request, "form", found)
    return fields


async def _bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise FormTooLarge(f"a form has at most {FORM_BYTES_MAX} bytes")
    return bytes(body)


def require_same_origin(request: Request) -> None:
    """Refuse a post that another site's page sent. Browsers say where a form comes from in headers no page can set."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host", ""), urlsplit(resources_of(request).settings.public_url).netloc} - {""}
    is_ours = bool(origin) and urlsplit(origin or "").netloc in hosts
    if (
        (site is not None and site != "same-origin")
        or (origin is not None and not is_ours)
        or (site is None and origin is None)
    ):
        raise FormRefused("this form was not sent from our own page", hint="Open the page here and send it again.")


def to(path: str) -> Response:
    """Go on to another page after a post."""
    return RedirectResponse(path, status_code=303)


def _equal(given: str, expected: str) -> bool:
    return compare_digest(given.encode("utf-8", "replace"), expected.encode())


async def _visiting(request: Request) -> Visit:
    resources = resources_of(request)
    found: Visitor = request.state.visitor
    return Visit(request, resources, found.session, found.principal, resources.now())


Visiting = Annotated[Visit, Depends(_visiting)]
"""The visitor, as a parameter of a page's route."""
