"""The API's reference: `/openapi.json`, and `/docs`, one page drawn here that asks no other host for anything."""

import asyncio
import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response

from bursar.kernel.http import Problem

_HERE = Path(__file__).parent / "docs"
_SCHEMA_REF = "#/components/schemas/"
_METHODS = ("get", "post", "put", "patch", "delete")

_pages = Environment(
    loader=FileSystemLoader(_HERE),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class _Reference:
    """The description and its page, each written once. Writing takes about a second, which nobody else is to wait."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        self._writing = asyncio.Lock()
        self._document = b""
        self._page = ""

    def described(self) -> dict[str, Any]:
        if not self._api.openapi_schema:
            self._api.openapi_schema = _described(self._api)
        return self._api.openapi_schema

    async def document(self) -> bytes:
        await self._written()
        return self._document

    async def page(self) -> str:
        await self._written()
        return self._page

    async def _written(self) -> None:
        async with self._writing:
            if not self._document:
                await asyncio.to_thread(self._write)

    def _write(self) -> None:
        told = self.described()
        self._page = _pages.get_template("reference.html").render(_outline(told))
        self._document = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def install(api: FastAPI) -> None:
    """Give the API its description and the page that shows it."""
    reference = _Reference(api)
    api.openapi = reference.described  # type: ignore[method-assign]

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return Response(await reference.document(), media_type="application/json")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(await reference.page())

    style = (_HERE / "reference.css").read_text(encoding="utf-8")

    @api.get("/docs/reference.css", include_in_schema=False)
    async def look() -> Response:
        return Response(style, media_type="text/css")


def _described(api: FastAPI) -> dict[str, Any]:
    """Describe the API, with every refusal as the problem document it really is."""
    document: dict[str, Any] = get_openapi(
        title=api.title, version=api.version, summary=api.summary, routes=api.routes, tags=api.openapi_tags
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    problem = Problem.model_json_schema(ref_template=_SCHEMA_REF + "{model}")
    schemas |= problem.pop("$defs", {}) | {"Problem": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    return document


def _outline(document: dict[str, Any]) -> dict[str, Any]:
    """Return what the page draws: operations by tag, and the shapes they speak of."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                groups.setdefault(operation.get("tags", ["other"])[0], []).append(_operation(path, method, operation))
    shapes = {
        name: {"description": schema.get("description", ""), "fields": _fields(schema)}
        for name, schema in sorted(document["components"]["schemas"].items())
    }
    about = document["info"]
    return {"title": about["title"], "version": about["version"], "groups": groups, "shapes": shapes}


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    answers: dict[str, Any] = {status: a for status, a in operation["responses"].items() if status.startswith("2")}
    status = next(iter(answers), "")
    shown = answers.get(status, {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("description") or operation.get("summary", ""),
        "parameters": [
            {
                "name": p["name"],
                "type": _type(p["schema"]),
                "about": p.get("description", ""),
                "required": p.get("required"),
            }
            for p in operation.get("parameters", ())
        ],
        "body": _type(body) if body else "",
        "status": status,
        "answer": _type(shown) if shown else "",
    }


def _fields(schema: dict[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "type": _type(field),
            "about": field.get("description", ""),
            "example": field.get("examples", [None])[0],
            "required": name in required,
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _type(schema: dict[str, Any]) -> str:
    """Return a schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_SCHEMA_REF)
    for many in ("anyOf", "oneOf"):
        if many in schema:
            return " or ".join(dict.fromkeys(_type(one) for one in schema[many]))
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    name = str(schema.get("type", "anything"))
    return f"{name} ({schema['format']})" if "format" in schema else name
