"""An identity provider of the test's own: it signs what it is told to, and answers as well or as badly as it is told."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NETWORKS = "127.0.0.0/8, ::1/128"
AUDIENCE = "bursar-api"


@dataclass
class Signer:
    """A key with its id."""

    kid: str
    algorithm: str = "RS256"
    bits: int = 2048
    private: Any = None

    def __post_init__(self) -> None:
        if self.private is None:
            makers: dict[str, Callable[[], Any]] = {
                "RS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=self.bits),
                "PS": lambda: rsa.generate_private_key(public_exponent=65537, key_size=self.bits),
                "ES": lambda: ec.generate_private_key(ec.SECP256R1()),
                "Ed": ed25519.Ed25519PrivateKey.generate,
            }
            self.private = makers[self.algorithm[:2]]()

    @property
    def jwk(self) -> dict[str, Any]:
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.private.public_key(), as_dict=True)
        return public | {"kid": self.kid, "use": "sig", "alg": self.algorithm}

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        return jwt.encode(claims, self.private, self.algorithm, headers={"kid": self.kid, **header})


@dataclass
class Issuer:
    """answers: what a path answers instead of what it should. asked: the paths that were asked for."""

    url: str
    signer: Signer
    keys: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False
    pause_s: float = 0.0

    def claims(self, subject: str = "ann", **more: Any) -> dict[str, Any]:
        now = int(time.time())
        told = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "nbf": now, "exp": now + 300} | more
        return {name: value for name, value in told.items() if value is not None}

    def token(
        self, subject: str = "ann", *, signer: Signer | None = None, header: dict[str, Any] | None = None, **more: Any
    ) -> str:
        return (signer or self.signer).sign(self.claims(subject, **more), **(header or {}))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split()[1]
            self.asked.append(path)
            await asyncio.sleep(self.pause_s)
            if not self.is_down:
                writer.write(self.answers.get(path) or self._answer(path))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        if path == "/.well-known/openid-configuration":
            return answer({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})
        return answer({"keys": self.keys}) if path == "/keys" else answer({}, "404 Not Found")


def answer(document: Any, status: str = "200 OK", **headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    told = {"content-type": "application/json", "connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return (
        f"HTTP/1.1 {status}\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in told.items()).encode() + b"\r\n" + body
    )


_SIGNER = Signer("first")


def certificate_of(name: str, directory: Path) -> Path:
    """Make a certificate of this name, signed by itself; return the file with it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / f"{name}.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


@asynccontextmanager
async def issuing(*, certificate: Path | None = None) -> AsyncIterator[Issuer]:
    """Run an issuer on a loopback port. certificate: with it, it speaks TLS and is called localhost."""
    issuer = Issuer("", _SIGNER, [_SIGNER.jwk])
    secured = None
    if certificate:
        secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        secured.load_cert_chain(certificate)
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0, ssl=secured)
    host = "https://localhost" if certificate else "http://127.0.0.1"
    issuer.url = f"{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield issuer
    finally:
        server.close()
        await server.wait_closed()
