"""The HTTP API, from its OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from generator import markdown

_METHODS = ("get", "post", "put", "patch", "delete")
_REF = "#/components/schemas/"
_PAGE = "Page_"

_ABOUT = """
JSON over HTTP. A running installation serves the same description at `/openapi.json`, and as a page at `/docs`.

- **Key.** `Authorization: Bearer bsk_…` on every route under `/v1`, deliveries excepted. A key is one tenant's; nobody
  can name another tenant. What a key may not see is answered as if it did not exist.
- **Lists** are newest first: `{"data": […], "next_cursor": …}`. Pass `next_cursor` as `cursor`; it is null on the last page.
- **Bodies** are JSON, strict: unknown fields, equal keys, NaN and whole numbers beyond 2^53 are refused. `application/json` is required.
- **Money** is whole minor units and an upper-case ISO 4217 code. **Times** are ISO 8601 with a zone; periods are half-open.
- **Ids** are text with a prefix (`pay_…`). A wrong prefix is refused as `id_invalid`.
- **Refusals** are problem documents: see [error codes](errors.md).
- `X-Correlation-Id` is taken from the request where it is 8 to 128 plain characters, else made, and is in every answer and log line.
- `Idempotency-Key` is taken by every route that writes: see [repeat a request safely](../how-to/repeat-a-request-safely.md).
"""

_WEBHOOKS = """
## Deliveries

### POST /v1/webhooks/{account}

Where a gateway delivers. Needs no key: the signature over the raw body is the key. It is not in the OpenAPI document,
because it stands in front of the framework. Answered only after the commit that stored the event:

```json
{"received": true, "event": "evt_…", "duplicate": false}
```

| answer | when |
|---|---|
| 200 | Stored, now or by an earlier delivery (`duplicate`). A validly signed body that cannot be read is stored too, and rests as dead. |
| 400 `signature_invalid` | No active secret signed it, or the signed time is too far from our clock. Nothing is stored. |
| 400 `body_incomplete` | The connection ended before the body did. |
| 403 `sandbox_refused` | A sandbox account on an installation in production. |
| 404 `gateway_account_unknown`, `not_found` | No active account has this address. |
| 405 `method_not_allowed` | Not a POST. |
| 408 `body_timeout` | The body took longer than `BURSAR_BODY_TIMEOUT_S`. |
| 413 `body_too_large` | The body is longer than `BURSAR_BODY_BYTES_MAX`, told or not. |
| 415 `content_encoding_refused` | The body is compressed. |
| 429 `rate_limited` | Too many from this source were refused within a minute, or the account takes no more (`deliveries_per_minute`). |
| 503 with `Retry-After` | It could not be stored: the database is away, or too many deliveries wait. The gateway delivers again. |
"""


def description() -> dict[str, Any]:
    """Return the OpenAPI document of this version."""
    document: dict[str, Any] = create_app(Settings()).api.openapi()
    return document


def page() -> str:
    """Return the page."""
    document = description()
    groups: dict[str, list[str]] = {}
    rows: dict[str, list[tuple[str, str]]] = {}
    for path, operations in document["paths"].items():
        for method in (m for m in _METHODS if m in operations):
            operation, title = operations[method], f"{method.upper()} {path}"
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_operation(title, operation))
            link = f"[`{title}`](#{markdown.anchor(title)})"
            rows.setdefault(tag, []).append((link, markdown.sentence(_words(operation))))
    overview = [(f"**{tag}**", "") if row is None else row for tag in rows for row in (None, *rows[tag])]
    delivery = ("[`POST /v1/webhooks/{account}`](#post-v1webhooksaccount)", "Take a gateway's delivery.")
    shapes = {n: s for n, s in sorted(document["components"]["schemas"].items()) if not n.startswith(_PAGE)}
    return markdown.page(
        "API",
        _ABOUT,
        markdown.table(("route", "what it does"), [*overview, ("**deliveries**", ""), delivery]),
        *(f"## {tag[:1].upper()}{tag[1:]}\n\n" + "\n\n".join(found) for tag, found in groups.items()),
        _WEBHOOKS,
        "## Shapes",
        *(_shape(name, schema) for name, schema in shapes.items()),
    )


def _words(operation: Mapping[str, Any]) -> str:
    return str(operation.get("description") or operation.get("summary", ""))


def _operation(title: str, operation: Mapping[str, Any]) -> str:
    parameters = [
        (
            markdown.code(p["name"]),
            p["in"],
            _type(p["schema"]),
            "yes" if p.get("required") else _default(p["schema"]),
            p.get("description") or p["schema"].get("description", ""),
        )
        for p in operation.get("parameters", ())
    ]
    return "\n\n".join(
        part
        for part in (
            f"### {title}",
            markdown.paragraphs(_words(operation)),
            markdown.table(("parameter", "in", "type", "required, or default", "what it is"), parameters),
            _exchange(operation),
        )
        if part
    )


def _exchange(operation: Mapping[str, Any]) -> str:
    body = _schema_of(operation.get("requestBody", {}))
    taken = [f"Body: {_type(body)}."] if body else []
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            shown = _schema_of(answer)
            taken.append(f"Answers {status}" + (f": {_type(shown)}." if shown else "."))
    return " ".join(taken)


def _schema_of(holder: Mapping[str, Any]) -> dict[str, Any]:
    content = holder.get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return schema


def _shape(name: str, schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            markdown.code(field),
            _type(told),
            "yes" if field in required else _default(told),
            _about(told),
        )
        for field, told in schema.get("properties", {}).items()
    ]
    listed = markdown.table(("field", "type", "always, or default", "what it is"), rows)
    own = "" if rows else _type(schema)
    return "\n\n".join(
        part for part in (f"### {name}", markdown.paragraphs(schema.get("description")), own, listed) if part
    )


def _about(schema: Mapping[str, Any]) -> str:
    words = str(schema.get("description", ""))
    example = next(iter(schema.get("examples", ())), None)
    return f"{words} Example: `{example}`".strip() if example is not None else words


def _default(schema: Mapping[str, Any]) -> str:
    default = schema.get("default")
    return markdown.code(default) if default not in (None, [], {}) else ""


def _type(schema: Mapping[str, Any]) -> str:
    """Return a schema in a few words."""
    if "$ref" in schema:
        return _named(str(schema["$ref"]).removeprefix(_REF))
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[many]))
    if "const" in schema:
        return markdown.code(schema["const"])
    if "enum" in schema:
        return ", ".join(markdown.code(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return _plain(schema)


def _named(name: str) -> str:
    if name.startswith(_PAGE):
        item = name.removeprefix(_PAGE).strip("_")
        return f"page of [{item}](#{markdown.anchor(item)})"
    return f"[{name}](#{markdown.anchor(name)})"


def _plain(schema: Mapping[str, Any]) -> str:
    name = str(schema.get("type", "anything"))
    pattern = str(schema.get("pattern", ""))
    if pattern.endswith("{26}$"):
        return markdown.code(pattern[1:].partition("[")[0] + "…")
    if "format" in schema:
        return f"{name} ({schema['format']})"
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        return f"{name}, {low if low is not None else '…'} to {high if high is not None else '…'}"
    if "maxLength" in schema:
        return f"{name}, {schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return name
