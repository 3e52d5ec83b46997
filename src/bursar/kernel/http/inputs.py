"""Types of what callers send: each says what it accepts, and nothing else gets through.

Texts have lengths and no control characters; whole numbers are within 2^53 of zero, and never a bool, a float or a
text; instants carry their zone and are of this age; unknown fields are refused.
"""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from bursar.kernel import ids
from bursar.kernel.amounts import MINOR_MAX

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_YEARS = range(1900, 3000)
"""So far from both ends of the calendar that every instant is one in every zone, and some years later too."""


class Input(BaseModel):
    """The form of a body. Unknown fields are refused; nothing is converted from another type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Filters(BaseModel):
    """The form of a query string. Unknown names are refused; numbers are read from their digits."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


_DayText = Annotated[str, Field(json_schema_extra={"format": "date"}, examples=["2026-01-31"])]
_InstantText = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-01-31T12:00:00Z"])]


def _plain(text: str) -> str:
    if _CONTROL.search(text) or _SURROGATE.search(text):
        raise PydanticCustomError("control_character", "Text must not contain control characters")
    return text


def lines(text: str) -> str:
    """Return a text that has no control characters but line breaks; for an `AfterValidator`."""
    if _CONTROL_BUT_LINES.search(text) or _SURROGATE.search(text):
        raise PydanticCustomError("control_character", "Text must have no control characters but line breaks")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise PydanticCustomError("not_printable", "Text must be printable")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("too_short", "Text must not be blank")
    return text


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise PydanticCustomError("instant_invalid", "An instant is ISO 8601 with zone: 2026-01-31T12:00:00Z")
    try:
        # A plus sign in a query string arrives as a space; the pattern has refused every other space.
        at = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise PydanticCustomError("instant_invalid", "There is no such instant") from error
    if at.year not in _YEARS:
        raise PydanticCustomError("instant_invalid", "Instants lie between 1900 and 2999")
    return at


def _day(value: Any) -> Any:
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise PydanticCustomError("day_invalid", "A day is an ISO 8601 date: 2026-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise PydanticCustomError("day_invalid", "There is no such day") from error


Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain), AfterValidator(_not_blank)]
Key = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable), AfterValidator(_not_blank)]
Email = Annotated[str, Field(max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s]+$"), AfterValidator(_printable)]
Lines = Annotated[str, Field(max_length=2000), AfterValidator(lines)]
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain), AfterValidator(_not_blank)]
Whole = Annotated[int, Field(strict=True, ge=-MINOR_MAX, le=MINOR_MAX)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MINOR_MAX)]
AmountMinor = Annotated[int, Field(strict=True, ge=0, le=MINOR_MAX, description="Minor units (ISO 4217).")]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217, upper case.", examples=["EUR"])]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=_InstantText)]
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=_DayText)]


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or " " in text or parts.username is not None:
        raise PydanticCustomError("url_invalid", "An address begins with https:// and a host, and names no user")
    return text


Url = Annotated[
    str,
    Field(max_length=2000, pattern=r"^https?://[!-~]+$", examples=["https://studio.example.org/thanks"]),
    AfterValidator(_url),
]


class PublicId:
    """Annotates a UUID that is written `<prefix>_…` outside. A text of another kind is refused as `id_invalid`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._parsed,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._shown, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        pattern = f"^{self._prefix}_[0-9a-hjkmnp-tv-z]{{26}}$"
        return {"type": "string", "pattern": pattern, "examples": [f"{self._prefix}_01kapj5m6rfq1v5wx6h0b1a2c3"]}

    def _parsed(self, value: Any) -> Any:
        if isinstance(value, UUID):
            return value
        try:
            return ids.parse(self._prefix, value if isinstance(value, str) else "")
        except ids.IdInvalid as error:
            raise PydanticCustomError("id_invalid", "An id of the kind {prefix}_…", {"prefix": self._prefix}) from error

    def _shown(self, value: Any) -> str:
        return ids.show(self._prefix, value)
