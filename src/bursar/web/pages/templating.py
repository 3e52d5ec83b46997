"""The templates and what they may say: autoescape always, an undefined name is an error, no query, no raw markup."""

import hashlib
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.filters import do_filesizeformat
from jinja2.runtime import Context
from markupsafe import Markup

from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.web.pages import texts
from bursar.web.pages.devices import device
from bursar.web.pages.tones import tone_of

HERE = Path(__file__).parent
STATIC = HERE / "static"
"""The directory that the application mounts at /static."""

_SHOWN = {
    "class": ids.CLASS,
    "booking": ids.BOOKING,
    "customer": ids.CUSTOMER,
    "entry": ids.WAITLIST_ENTRY,
    "payment": ids.PAYMENT,
}
"""What templates may show the public id of."""

_NO_BREAK_SPACE = "\u00a0"
_KIB_FROM = 10_000


def render(template: str, **views: Any) -> str:
    """Return a page or fragment. views: frozen, plain; never a transaction."""
    return _environment().get_template(template).render(**views)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_seen,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        amount=_amount,
        clip=texts.clipped,
        visible=texts.visible,
        count=_count,
        figure=_figure,
        size=_size,
        took=_took,
        exact=texts.exact,
        local=texts.local,
        told=times.told,
        clock=times.clock,
        device=device,
    )
    environment.globals.update(when=_when, static=_static, tone=tone_of, money=Money)
    environment.globals.update({f"show_{name}": partial(ids.show, prefix) for name, prefix in _SHOWN.items()})
    return environment


def _seen(value: object) -> object:
    """Make every text visible on its way into a page; autoescape then makes it harmless."""
    return texts.visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@pass_context
def _when(context: Context, at: datetime | None) -> Markup:
    """Return a relative time with its exact instant on hover; pages.js keeps it true."""
    if at is None:
        return Markup('<span class="none">–</span>')
    now: datetime = context["now"]
    return Markup('<time datetime="{}" title="{}" data-relative>{}</time>').format(
        at.isoformat(), texts.exact(at), texts.relative(at, now)
    )


def _amount(money: Money) -> Markup:
    """Return an amount in tabular figures, its currency beside it."""
    number, _, currency = str(money).rpartition(" ")
    sign = "−" if number.startswith("-") else ""
    return Markup('<span class="amount">{}{}{}<abbr>{}</abbr></span>').format(
        sign, number.lstrip("-"), _NO_BREAK_SPACE, currency
    )


def _count(number: int) -> str:
    return f"{number:,}"


def _figure(name: str, value: float) -> str:
    """Return a figure of health with its name and its unit, in which the name ends: `free 65.0 GB`."""
    for end, unit in (("_s", " s"), ("_bytes", "")):
        if name.endswith(end):
            name = name.removesuffix(end)
            shown = do_filesizeformat(value) if end == "_bytes" else f"{abs(value):,.3f}".rstrip("0").rstrip(".")
            return f"{name.replace('_', ' ')} {'-' if value < 0 and shown != '0' else ''}{shown}{unit}"
    number = f"{value:,.0f}" if value == int(value) else f"{value:,.3f}"
    return f"{name.replace('_', ' ')} {number}"


def _took(span: timedelta | None) -> str:
    return "–" if span is None else texts.duration(span)


def _size(length: int) -> str:
    return f"{length:,} bytes" if length < _KIB_FROM else f"{length / 1024:,.1f} KiB"


@cache
def _static(name: str) -> str:
    """Return the address of a file under static/, which changes with its content, so that it may be cached for long."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()
    return f"/static/{name}?v={digest[:12]}"
