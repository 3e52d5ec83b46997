"""Pages on which a customer signs in by mail, and out."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import people
from bursar.kernel.auth import public
from bursar.kernel.identity import tokens
from bursar.kernel.identity.people import EmailInvalid
from bursar.kernel.identity.throttle import SignInLimited
from bursar.web.pages.booking.front import Front, admit, dismiss, opened
from bursar.web.pages.cookies import device_of
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
        entered = await people.enter_by_code(
            front.resources.db,
            token,
            code=fields.get("code", "")[:40],
            secret_key=front.resources.settings.secret_key,
            device=device_of(request),
            now=front.now,
        )
    except people.SignInOver:
        return await _code_asked(request, business, asked, is_wrong=True)
    return admit(front.to(entered.goes_on), entered.token, request=request, tenant_id=front.tenant_id)


@router.get("/b/{business}/enter")
@public
async def link_opened(request: Request, business: str, token: str = "") -> Response:
    """Ask once more before a mailed link is used: programs that look at mails open links, too."""
    async with opened(request, business) as (front, tx):
        found = tokens.read(token)
        is_own = found is not None and found.tenant_id == front.tenant_id
        email = await people.whose(tx, found, now=front.now) if found and is_own else None
        return front.answer("enter.html", status=200 if email else 400, email=email, token=token if email else "")


@router.post("/b/{business}/enter")
@public
async def use_link(request: Request, business: str) -> Response:
    """Let in whoever shows the link that was mailed."""
    async with opened(request, business) as (front, _):
        pass
    fields = await front.form()
    token = _token(front, fields.get("token", ""))
    async with front.resources.db.tenant(front.tenant_id) as tx:
        entered = await people.enter_by_link(tx, token, device=device_of(request), now=front.now)
    return admit(front.to(entered.goes_on), entered.token, request=request, tenant_id=front.tenant_id)


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
        email, goes_on = await people.asked(tx, token, now=front.now)
        return front.answer(
            "code.html", status=422 if is_wrong else 200, email=email, goes_on=goes_on, is_wrong=is_wrong
        )


def _token(front: Front, text: str) -> tokens.Token:
    token = tokens.read(text)
    if token is None or token.tenant_id != front.tenant_id:
        raise people.SignInOver("This code or link is not right, was used, or is too old.", hint="Ask for a new one.")
    return token
