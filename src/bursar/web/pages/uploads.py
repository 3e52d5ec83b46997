"""Forms with files: read whole into memory within a limit, and never onto a disk."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from bursar.kernel.auth.refusals import observe_suspicion
from bursar.kernel.http.suspicion import suspicions_of_json
from bursar.web.pages.visits import FormInvalid, FormTooLarge, FormTooSlow, Visit, require_token

FORM_BYTES_MAX: Final = 5 * 2**20
FORM_TIMEOUT_S: Final = 60
_FIELDS_MAX: Final = 40
_FILES_MAX: Final = 20
_FIELD_BYTES_MAX: Final = 100_000


@dataclass(frozen=True, slots=True)
class Sent:
    """What a form with files brought. files: those that were chosen, by the name of their field: what they are called, and what is in them."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]] = field(repr=False)


class _InMemory(MultiPartParser):
    spool_max_size = 2 * FORM_BYTES_MAX
    """More than a form may have: nothing of it becomes a file of ours."""


async def sent(visit: Visit) -> Sent:
    """Return a posted form, with files or without. Raises FormRefused unless it comes from a form of this session, and as `form`."""
    kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return Sent(await visit.form(), {})
    form = await _form(visit.request)
    try:
        items = form.multi_items()
        fields = {name: value for name, value in items if isinstance(value, str)}
        require_token(visit.request, visit.session.id, fields.pop("form_token", ""))
        # A browser sends a field of a file that nobody chose as an empty one without a name.
        files = {
            name: (value.filename or "", await value.read())
            for name, value in items
            if isinstance(value, UploadFile) and (value.filename or value.size)
        }
    finally:
        await form.close()
    if suspicious := suspicions_of_json(fields):
        await observe_suspicion(visit.request, "form", suspicious)
    return Sent(fields, files)


async def _form(request: Request) -> FormData:
    try:
        async with asyncio.timeout(FORM_TIMEOUT_S):
            body = await _whole(request)
    except TimeoutError as error:
        raise FormTooSlow(f"the form did not arrive within {FORM_TIMEOUT_S} s") from error
    except ClientDisconnect as error:
        raise FormInvalid("the form did not arrive whole") from error
    limits = {"max_files": _FILES_MAX, "max_fields": _FIELDS_MAX, "max_part_size": _FIELD_BYTES_MAX}
    try:
        return await _InMemory(request.headers, _once(body), **limits).parse()
    except (MultiPartException, LookupError, ValueError) as error:
        raise FormInvalid("this is not a form that we can read") from error


async def _whole(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES_MAX:
            raise FormTooLarge(f"the files of a form have at most {FORM_BYTES_MAX // 2**20} MiB together")
    return bytes(body)


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
    yield b""
