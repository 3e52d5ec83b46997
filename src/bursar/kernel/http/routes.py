"""Routes that read strictly. Apart from the rest of `kernel.http`, because only the API needs FastAPI, which is slow to import."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel.errors import DomainError, FieldError, Invalid
from bursar.kernel.http.bodies import BODY_BYTES_MAX, MediaTypeUnsupported, StrictRequest
from bursar.kernel.http.suspicion import Suspicion, suspicions_of_address, suspicions_of_json


class StrictRoute(APIRoute):
    """A route that reads its body strictly and refuses query parameters that it does not have."""

    bytes_max = BODY_BYTES_MAX
    """The largest body that it takes."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **given: Any) -> None:
        # The description calls an operation by its function's name.
        super().__init__(path, endpoint, **given | {"generate_unique_id_function": _name_of})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_query = any(d.query_params for d in _dependants(self.dependant))

        async def strict(request: Request) -> Response:
            request = StrictRequest(request.scope, request.receive)
            request.bytes_max = self.bytes_max
            try:
                await self.admit(request)
                await self._suspect(request, "address", suspicions_of_address(request.url.path, request.url.query))
                if request.url.query and not takes_query:
                    raise _takes_no_query(request)
                if self.takes_body and await request.body():
                    await self._suspect(request, "body", suspicions_of_json(await _read_json(request)))
                return await self.answer(request, handle)
            except DomainError as refusal:
                await self.refused(request, refusal)
                raise

        return strict

    async def admit(self, request: Request) -> None:
        """Refuse the request before its body is read. Routes that need to know the caller say who may pass."""

    async def refused(self, request: Request, refusal: DomainError) -> None:
        """Be told of a refusal on its way out. Routes that know the caller say what it tells of them."""

    async def answer(self, request: Request, handle: Callable[[Request], Awaitable[Response]]) -> Response:
        """Answer an admitted request whose body has been checked. Routes that remember answers put theirs around it."""
        return await handle(request)

    @property
    def takes_body(self) -> bool:
        return self.body_field is not None

    async def suspected(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        """Be told that the address or the body looks like an attack. Nothing is refused for that."""

    async def _suspect(self, request: Request, where: str, found: frozenset[Suspicion]) -> None:
        if found:
            await self.suspected(request, where, found)


def _name_of(route: APIRoute) -> str:
    return route.name


def _takes_no_query(request: Request) -> Invalid:
    names = [FieldError(name[:64], "unknown_field", "not known here") for name in request.query_params]
    return Invalid("this path takes no query parameters", fields=tuple(names))


async def _read_json(request: StrictRequest) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise MediaTypeUnsupported("the body is not declared to be JSON", hint="Send Content-Type: application/json.")
    return await request.json()


def _dependants(dependant: Any) -> list[Any]:
    return [dependant, *(inner for child in dependant.dependencies for inner in _dependants(child))]
