"""Static files: the style sheet, the scripts, the mark. Their addresses change with their content, so they keep."""

from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_YEAR_S = 365 * 24 * 3600
_SERVED: Final = (".css", ".js", ".svg")
"""What pages ask for. Whatever else lies beside it, notes and licences, is nobody's business."""


class Files(StaticFiles):
    """Serves a directory; a file asked for by its version may be kept for a year."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)

    async def get_response(self, path: str, scope: Scope) -> Response:
        if not path.endswith(_SERVED):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        answer = await super().get_response(path, scope)
        is_versioned = scope.get("query_string", b"").startswith(b"v=")
        answer.headers["cache-control"] = f"public, max-age={_YEAR_S}, immutable" if is_versioned else "no-cache"
        if answer.headers.get("content-type") == "image/svg+xml":  # text too, which says so of itself only with this
            answer.headers["content-type"] = "image/svg+xml; charset=utf-8"
        answer.headers["x-content-type-options"] = "nosniff"
        answer.headers["cross-origin-resource-policy"] = "same-origin"
        return answer
