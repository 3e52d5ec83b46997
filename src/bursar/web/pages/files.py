"""Static files: the style sheet, the scripts, the mark. Their addresses change with their content, so they keep."""

from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_YEAR_S = 365 * 24 * 3600


class Files(StaticFiles):
    """Serves a directory; a file asked for by its version may be kept for a year."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        is_versioned = scope.get("query_string", b"").startswith(b"v=")
        answer.headers["cache-control"] = f"public, max-age={_YEAR_S}, immutable" if is_versioned else "no-cache"
        answer.headers["x-content-type-options"] = "nosniff"
        answer.headers["cross-origin-resource-policy"] = "same-origin"
        return answer
