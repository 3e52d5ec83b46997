"""The rules of booking, from their catalogue."""

from bursar.apps.booking.rules import CATALOGUE, Rule
from bursar.apps.booking.rules.models import Parameter
from generator import markdown

_ABOUT = """
Every rule of the booking app, as it is until a business changes it (`PUT /v1/booking-rules/{rule}`). Ids and codes are permanent.
`GET /v1/classes/{class}/bookability?customer=cus_…` tells every rule that keeps a customer from booking, and booking refuses with the code
of the first and all of them in `errors`. A rule that can be *waived* gives way to staff with `bookings:override` and a reason. The number
is its place in the list of 80 rules that the app was built to.
"""

_AREAS = {
    "schedule": "Schedule",
    "eligibility": "Who may come",
    "seats": "Seats",
    "credits": "Credits and memberships",
    "money": "Money",
    "cancelling": "Cancelling and refunds",
    "waiting": "Waitlist",
    "attendance": "Attendance",
}


def page() -> str:
    """Return the page."""
    parts = []
    for area, title in _AREAS.items():
        rows = [_row(rule) for rule in CATALOGUE if rule.area == area]
        parts += [
            f"## {title}",
            markdown.table(("rule", "no.", "what it says", "code", "decided", "by default", "parameters"), rows),
        ]
    return markdown.page("Rules of booking", _ABOUT, *parts)


def _row(rule: Rule) -> tuple[str, ...]:
    standing = "on" if rule.is_on else "off"
    return (
        markdown.code(rule.id),
        str(rule.number),
        rule.told,
        markdown.code(rule.code) if rule.code else "–",
        rule.where,
        ", ".join([standing if rule.is_switchable else "always", *(["can be waived"] if rule.is_waivable else [])]),
        "; ".join(map(_parameter, rule.parameters)) or "–",
    )


def _parameter(parameter: Parameter) -> str:
    default = str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default
    return f"{markdown.code(parameter.name)}: {parameter.told}, {default} by default. {parameter.description}"
