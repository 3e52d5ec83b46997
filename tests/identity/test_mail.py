"""The mail port: each adapter carries the same message, against a real SMTP server where it speaks SMTP."""

import asyncio
import email
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import Message as Parsed
from email.policy import default
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Handler
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bursar.kernel.mail import MailFailed, MailSettingsInvalid, Message, mailer_of
from bursar.kernel.mail.outbox import Outbox
from bursar.kernel.mail.smtp import Smtp
from bursar.kernel.settings import Settings

pytestmark = pytest.mark.anyio

MESSAGE = Message(
    to="ann@example.com",
    subject="Willkommen bei “Harbour Yoga” – Ärger gibt’s nicht",
    text="Hello Ann,\n\nhttps://pay.example.org/accept?token=" + "a" * 96 + "\n\n.\nüberall\n",
)
SENDER = "Bursar <bursar@pay.example.org>"


class Inbox(Handler):
    """What the server was given. refused: recipients that it answers 550."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Parsed] = []
        self.refused: set[str] = set()

    def handle_message(self, message: Parsed) -> None:
        self.mails.append(email.message_from_bytes(message.as_bytes(), policy=default))

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - the library's name
        if address in self.refused:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"


def _certificate(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's and a client's context for a certificate made for this test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = directory / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    client = ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return server, client


@asynccontextmanager
async def smtp_server(inbox: Inbox, **options) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port, **options)
    await asyncio.to_thread(controller.start)
    try:
        yield port
    finally:
        await asyncio.to_thread(controller.stop)


def _is_the_message(mail: Parsed) -> None:
    assert (mail["To"], mail["From"], mail["Subject"]) == (MESSAGE.to, SENDER, MESSAGE.subject)
    assert mail.get_content().replace("\r\n", "\n") == MESSAGE.text
    assert mail["Message-ID"].endswith("@pay.example.org>")
    assert mail["Date"]


async def test_the_outbox_keeps_the_message_for_its_owner_only(tmp_path: Path):
    await Outbox(tmp_path / "outbox", sender=SENDER).send(MESSAGE)

    [path] = (tmp_path / "outbox").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    _is_the_message(email.message_from_bytes(path.read_bytes(), policy=default))


async def test_smtp_carries_the_message_plain_to_a_server_on_this_machine():
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        await Smtp("127.0.0.1", port, SENDER, is_plain=True).send(MESSAGE)

    [mail] = inbox.mails
    _is_the_message(mail)


async def test_smtp_encrypts_and_signs_in(tmp_path: Path):
    inbox, (server, client) = Inbox(), _certificate(tmp_path)

    def authenticated(_server, _session, _envelope, _mechanism, data):
        return AuthResult(success=(data.login, data.password) == (b"bursar", b"p@ss:word"))

    async with smtp_server(
        inbox, tls_context=server, require_starttls=True, auth_required=True, authenticator=authenticated
    ) as port:
        mailer = Smtp("localhost", port, SENDER, user="bursar", password="p@ss:word", trust=client)
        await mailer.send(MESSAGE)
        with pytest.raises(MailFailed) as refused:
            await Smtp("localhost", port, SENDER, user="bursar", password="wrong", trust=client).send(MESSAGE)

    assert len(inbox.mails) == 1
    assert not refused.value.is_final
    assert "wrong" not in refused.value.message


async def test_a_server_that_is_not_who_it_says_gets_nothing(tmp_path: Path):
    inbox, (server, _) = Inbox(), _certificate(tmp_path)
    async with smtp_server(inbox, tls_context=server) as port:
        with pytest.raises(MailFailed):
            await Smtp("localhost", port, SENDER).send(MESSAGE)

    assert inbox.mails == []


async def test_a_server_without_encryption_gets_nothing_unless_that_was_asked_for():
    inbox = Inbox()
    async with smtp_server(inbox) as port:
        with pytest.raises(MailFailed):
            await Smtp("localhost", port, SENDER).send(MESSAGE)

    assert inbox.mails == []


async def test_a_refused_recipient_is_final_and_a_server_that_is_away_is_not():
    inbox = Inbox()
    inbox.refused.add(MESSAGE.to)
    async with smtp_server(inbox) as port:
        with pytest.raises(MailFailed) as refused:
            await Smtp("127.0.0.1", port, SENDER, is_plain=True).send(MESSAGE)
    with pytest.raises(MailFailed) as away:
        await Smtp("127.0.0.1", port, SENDER, is_plain=True).send(MESSAGE)

    assert (refused.value.is_final, away.value.is_final) == (True, False)


@pytest.mark.parametrize("to", ["ann@example.com\r\nBcc: eve@example.com", "ann@example.com\nX: y", ""])
async def test_no_address_writes_headers(tmp_path: Path, to: str):
    with pytest.raises(MailFailed):
        await Outbox(tmp_path, sender=SENDER).send(Message(to=to, subject="x", text="y"))

    assert list(tmp_path.iterdir()) == []


async def test_a_subject_writes_no_headers(tmp_path: Path):
    await Outbox(tmp_path, sender=SENDER).send(Message(to="a@example.com", subject="x\r\nBcc: e@example.com", text="y"))

    [path] = tmp_path.iterdir()
    assert email.message_from_bytes(path.read_bytes(), policy=default)["Bcc"] is None


def test_the_settings_choose_the_mailer(tmp_path: Path):
    def chosen(url: str) -> Smtp:
        found = mailer_of(Settings(mail_url=url, data=tmp_path, mail_from=SENDER))
        assert isinstance(found, Smtp)
        return found

    starttls, tls = chosen("smtp://me:p%40ss@mail.example.org"), chosen("smtps://mail.example.org:4650")
    assert (starttls.port, starttls.user, starttls.password, starttls.is_tls) == (587, "me", "p@ss", False)
    assert (tls.port, tls.user, tls.is_tls) == (4650, None, True)
    assert chosen("smtp+plain://localhost").is_plain
    assert isinstance(mailer_of(Settings(data=tmp_path)), Outbox)
    for wrong in ("mail.example.org", "http://x", "smtp://", "smtp://x:y"):
        with pytest.raises(MailSettingsInvalid):
            mailer_of(Settings(mail_url=wrong, data=tmp_path))
