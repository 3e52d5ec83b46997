"""How Stripe says no.

Invariant: a refusal that `keeps` leaves what the request did (a declined charge is a fact); every other undoes it.
Source: Stripe API reference, "Errors".
"""

from typing import Any

from bursar.money.gateways.fields import Json


class Refusal(Exception):
    """One error answer. keeps: the transaction is committed although the answer is an error."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        keeps: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.param = param
        self.keeps = keeps
        self.more = more

    def body(self) -> Json:
        """Return what goes over the wire."""
        told: Json = {"message": self.message, "type": self.kind}
        if self.code:
            told |= {"code": self.code, "doc_url": f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"}
        if self.param:
            told["param"] = self.param
        return {"error": told | self.more}


def invalid(message: str, *, param: str | None = None, code: str | None = None, **more: Any) -> Refusal:
    """Return the refusal of a request that cannot be done as it is."""
    return Refusal(400, "invalid_request_error", message, param=param, code=code, **more)


def missing(param: str) -> Refusal:
    """Return the refusal of a request without a parameter that it needs."""
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def unknown(kind: str, ref: str, *, param: str = "id", status: int = 404) -> Refusal:
    """Return the refusal of a name that nothing has."""
    said = kind.rpartition(".")[2].replace("_", "")
    message = f"No such {said}: '{ref}'"
    return Refusal(status, "invalid_request_error", message, code="resource_missing", param=param)


def unauthenticated(message: str) -> Refusal:
    """Return the refusal of an API key."""
    return Refusal(401, "invalid_request_error", message)


def too_many() -> Refusal:
    """Return what a caller gets who asks too often."""
    return Refusal(
        429,
        "invalid_request_error",
        "Request rate limit exceeded. You can learn more about rate limits here.",
        code="rate_limit",
    )


def broken() -> Refusal:
    """Return what a caller gets when the gateway itself fails."""
    return Refusal(500, "api_error", "An unknown error occurred")
