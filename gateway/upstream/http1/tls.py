"""
TLS over a connection: OpenSSL between two buffers in memory.

Not the event loop's own TLS, for two reasons. No received byte may wait where nobody can ask for it, not even the
beginning of a record: it would be read as the answer to the next request (W-171). And the event loop's cannot be given
a session to resume, which saves a new connection half of its handshake.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

from gateway.upstream import NoReply, Reason

from .connection import Connection

# RFC 8446 section 5.1: a record's header is its type, its version and the length of what follows; what it holds.
RECORD_HEADER_BYTES: Final = 5
RECORD_BYTES: Final = 16 * 1024

# A resumed session is not verified again: a certificate that expires is noticed after so long at the latest.
SESSION_SECONDS = 600.0


class Tls:
    """
    How a vendor is spoken to in TLS.

    Mutable state: the session that the next connection resumes, and when it was new.
    """

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        context.set_alpn_protocols(["http/1.1"])
        self._context = context
        self._server_name = server_name
        self._session: ssl.SSLSession | None = None
        self._session_at = 0.0

    def begin(self, came: ssl.MemoryBIO, going: ssl.MemoryBIO, now: float) -> ssl.SSLObject:
        """A connection's own half; raises ValueError for a name that TLS cannot ask for."""
        if now - self._session_at > SESSION_SECONDS:
            self._session = None
        return self._context.wrap_bio(came, going, server_hostname=self._server_name, session=self._session)

    def keep(self, session: ssl.SSLSession | None, now: float) -> None:
        """Resume this session from now on, unless it resumes one itself."""
        if session is not None and self._session is None:
            self._session, self._session_at = session, now

    def forget(self) -> None:
        """Resume no session: a handshake failed."""
        self._session = None


class SecureConnection(Connection):
    """
    A TCP connection with TLS over it.

    Mutable state: the session, whether it was kept for the next connection, and how many bytes are missing from the
    record of which a part has come.
    """

    def __init__(self, left: Callable[[Connection], None], tls: Tls) -> None:
        super().__init__(left)
        self._tls = tls
        self._came, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session: ssl.SSLObject
        self._shaking: asyncio.Future[None] | None = None
        self._shaken = False
        self._kept = False
        self._part = b""
        self._missing = 0

    async def shake_hands(self) -> None:
        """Agree, and verify the vendor. Raises NoReply."""
        self._shaking = self._loop.create_future()
        agreed = False
        try:
            self._session = self._tls.begin(self._came, self._going, self._loop.time())
            self._shake()
            # The vendor may be gone since before our hello, and then nobody tells.
            if self._ended:
                raise ConnectionResetError
            await self._shaking
            agreed = True
        except ssl.SSLCertVerificationError as error:
            raise NoReply(Reason.TLS_CERTIFICATE_ERROR) from error
        except (OSError, ValueError) as error:
            raise NoReply(Reason.TLS_PROTOCOL_ERROR) from error
        finally:
            self._shaking = None
            if not agreed:
                self._tls.forget()
                self.close()

    def _shake(self) -> None:
        """Take the handshake as far as it goes. Raises ssl.SSLError."""
        try:
            self._session.do_handshake()
            self._shaken = True
        except ssl.SSLWantReadError:
            pass
        finally:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Decrypt what came, and hand it on."""
        self._count(data)
        self._came.write(data)
        if self._shaken:
            self._decrypt()
            return
        shaking = self._shaking
        if shaking is None or shaking.done():
            return  # the vendor speaks before our hello: what it said waits for the handshake
        try:
            self._shake()
        except ssl.SSLError as error:
            shaking.set_exception(error)
            return
        if self._shaken:
            shaking.set_result(None)
            self._decrypt()

    def _decrypt(self) -> None:
        """Hand on what is whole of the records that came, then the end of the session if it is among them."""
        pieces: list[bytes] = []
        read, came, pending = self._session.read, self._came, self._session.pending
        ended, error = False, None
        try:
            while piece := read(RECORD_BYTES):
                pieces.append(piece)
                if not (came.pending or pending()):
                    break
            else:
                ended = True
        except ssl.SSLWantReadError:
            pass  # no end, and nothing more
        except ssl.SSLError as damaged:
            ended, error = True, damaged
        self._flush()
        if pieces:
            super().data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._over(error)

    def _count(self, data: bytes) -> None:
        """Follow the records: OpenSSL swallows the beginning of one without a word."""
        size, at = len(data), self._missing
        while at < size:
            header = self._part + data[at : at + RECORD_HEADER_BYTES - len(self._part)]
            if len(header) < RECORD_HEADER_BYTES:
                self._part, self._missing = header, 0
                return
            at += RECORD_HEADER_BYTES - len(self._part) + int.from_bytes(header[3:])
            self._part = b""
        self._missing = at - size

    def _flush(self) -> None:
        if self._going.pending:
            super().write(self._going.read())

    def _over(self, error: Exception | None) -> None:
        shaking = self._shaking
        if shaking is not None and not shaking.done():
            shaking.set_exception(error if isinstance(error, OSError) else ConnectionResetError())
        super()._over(error)

    def write(self, data: bytes) -> None:
        """Encrypt, and write as soon as there is room."""
        if self.closed:
            return
        try:
            self._session.write(data)
        except ssl.SSLError as error:
            self._over(error)
            self.close()
            return
        super().write(self._going.read())

    def release(self) -> None:
        """End the exchange; by now the vendor has sent what its session can be resumed with."""
        super().release()
        if not self._kept:
            self._kept = True
            self._tls.keep(None if self._session.session_reused else self._session.session, self._loop.time())

    def is_quiet(self) -> bool:
        """Whether nothing came that was not read, not even the end or a part of a record."""
        return not (self._missing or self._part or self._came.pending) and super().is_quiet()
