"""Pages on which a customer signs in by mail, and out."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import people
from bursar.kernel.auth import public
from bursar.kernel.db import Transaction, attempt
from bursar.kernel.errors import Conflict
from bursar.kernel.identity import tokens
from bursar.kernel.identity.people import EmailInvalid
from bursar.kernel.identity.throttle import SignInLimited
from bursar.web.pages.booking.front import Front, admit, dismiss, opened
from bursar.web.pages.booking.seats import join, shown
from bursar.web.pages.booking.why import of_refusal
from bursar.web.pages.cookies import device_of
from bursar.web.pages.reads.timetable import Listed, listed_class
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable

router = APIRouter(route_class=PageRoute)


@router.get("/b/{business}/sign-in")
@public
async def door(request: Request, business: str, next: str = "") -> Response:  # noqa: A002 - the name of the parameter in the address
    """Ask for an address."""
    async with opened(request, business) as (front, _):
        goes_on = front.page(next) if next else f"{front.base}/account"
        if front.visitor:
            return front.to(goes_on)
        return front.answer("sign_in.html", goes_on=goes_on, email="", wrong=None)


@router.post("/b/{business}/sign-in")
@public
async def knock(request: Request, business: str) -> Response:
    """Have the mail sent, and wait for its code. It takes as long for an address that nobody knows."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    email, goes_on = printable(fields.get("email", "")), front.page(fields.get("next", ""))
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            asked = await people.ask(
                tx,
                tenant_id=front.tenant_id,
                email=email,
                goes_on=goes_on,
                device=device_of(request),
                now=front.now,
            )
    except EmailInvalid:
        wrong = "That is no e-mail address: it reads like name@example.com."
        return front.answer("sign_in.html", status=422, goes_on=goes_on, email=email[:254], wrong=wrong)
    except SignInLimited:
        wrong = "Too many codes were asked for from here. Wait a quarter of an hour."
        return front.answer("sign_in.html", status=429, goes_on=goes_on, email=email[:254], wrong=wrong)
    return front.to(f"{front.base}/sign-in/{asked}")


@router.get("/b/{business}/sign-in/{asked}")
@public
async def waiting(request: Request, business: str, asked: str) -> Response:
    """Ask for the code that was mailed."""
    return await _code_asked(request, business, asked)


@router.post("/b/{business}/sign-in/{asked}")
@public
async def show_code(request: Request, business: str, asked: str) -> Response:
    """Let in whoever types the code that was mailed."""
    async with opened(request, business) as (front, _):
        pass
    fields, token = await front.form(), _token(front, asked)
    try:
        await people.check_code(
            front.resources.db,
            token,
            code=fields.get("code", "")[:40],
            secret_key=front.resources.settings.secret_key,
            now=front.now,
        )
        return await _let_in(front, token, people.enter_by_code)
    except people.SignInOver:
        return await _code_asked(request, business, asked, is_wrong=True)


@router.get("/b/{business}/enter")
@public
async def link_opened(request: Request, business: str, token: str = "") -> Response:
    """Ask once more before a mailed link is used: programs that look at mails open links, too."""
    async with opened(request, business) as (front, tx):
        found = tokens.read(token)
        is_own = found is not None and found.tenant_id == front.tenant_id
        knock = await people.whose(tx, found, now=front.now) if found and is_own else None
        return front.answer(
            "enter.html",
            status=200 if knock else 400,
            knock=knock,
            wanted=await _wanted(front, tx, knock),
            token=token if knock else "",
        )


@router.post("/b/{business}/enter")
@public
async def use_link(request: Request, business: str) -> Response:
    """Let in whoever shows the link that was mailed."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    return await _let_in(front, _token(front, fields.get("token", "")), people.enter_by_link)


@router.post("/b/{business}/sign-out")
@public
async def leave(request: Request, business: str) -> Response:
    """End the session; with `everywhere` all sessions of the address."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    if front.visitor:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            if "everywhere" in fields:
                await people.dismiss_everywhere(tx, tenant_id=front.tenant_id, email=front.visitor.email, now=front.now)
            else:
                await people.dismiss(tx, front.visitor, now=front.now)
    return dismiss(front.to(front.base), request=request, tenant_id=front.tenant_id)


async def _code_asked(request: Request, business: str, asked: str, *, is_wrong: bool = False) -> Response:
    async with opened(request, business) as (front, tx):
        token = _token(front, asked)
        knock = await people.asked(tx, token, now=front.now)
        return front.answer(
            "code.html",
            status=422 if is_wrong else 200,
            knock=knock,
            wanted=await _wanted(front, tx, knock),
            is_wrong=is_wrong,
        )


async def _wanted(front: Front, tx: Transaction, knock: people.Knock | None) -> Listed | None:
    """Return the class in which somebody wants to wait for a seat, if that is what he wants."""
    if knock is None or knock.wish is None:
        return None
    return await listed_class(tx, tenant_id=front.tenant_id, class_id=knock.wish.class_id)


async def _let_in(front: Front, token: tokens.Token, enter: Callable[..., Awaitable[people.Entered]]) -> Response:
    """Sign somebody in. Who wanted to wait for a seat waits from then on, or is told why not. Raises SignInOver."""
    device, why = device_of(front.request), None
    async with front.resources.db.tenant(front.tenant_id) as tx:
        entered = await enter(tx, token, device=device, now=front.now)
        wish = entered.knock.wish
        if wish:
            try:
                async with attempt(tx):
                    await join(front, tx, class_id=wish.class_id, email=entered.knock.email, name=wish.name)
            except Conflict as refusal:
                why = of_refusal(refusal, is_known=True)
        answer = front.to(entered.knock.goes_on)
        session = tokens.read(entered.token)
        if wish and why and session:
            visitor = await people.visitor(tx, session, now=front.now)
            answer = await shown(replace(front, visitor=visitor), tx, wish.class_id, refused=why, status=409)
    return admit(answer, entered.token, request=front.request, tenant_id=front.tenant_id)


def _token(front: Front, text: str) -> tokens.Token:
    token = tokens.read(text)
    if token is None or token.tenant_id != front.tenant_id:
        raise people.SignInOver("This code or link is not right, was used, or is too old.", hint="Ask for a new one.")
    return token
