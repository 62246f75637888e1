"""
The reference engine: httpx2's transport layer (httpcore2), driven directly.

No client, no cookie jar, no environment, no redirects, no URL parsing: a method, target bytes and a header list go out
as they are. Four things are ours, since the library does not have them: dialling (which addresses are refused, which
proxy is asked), the bytes of a connection (`wire`), the bounds on a reply's head, and when a connection may be used
again. The library's version is pinned and `tests/gateway/upstream/` guards what is overridden.

One file, since it is the only one that may know the library.
"""

import asyncio
import base64
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import h2.config
import h2.errors
import h2.exceptions
import h11
import httpcore2

from . import (
    HEAD_LIMIT_BYTES,
    HEAD_LIMIT_FIELDS,
    INTERIM_LIMIT,
    KEEP_ALIVE_SECONDS,
    Call,
    Cut,
    Header,
    NoReply,
    Reason,
)
from .dialling import race, resolve
from .wire import SecureWire, Wire, connect

# The loggers of the libraries below that write header fields.
TALKATIVE = (
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "hpack.hpack",
    "hpack.table",
)

# Longer heads of an egress proxy's answer to CONNECT are no answer.
CONNECT_HEAD_LIMIT_BYTES = 8 * 1024

# How httpcore2 says that the conversation failed; the first class that fits decides. Dialling says it in our words.
REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (httpcore2.PoolTimeout, Reason.CONNECTION_LIMIT_REACHED),
    (httpcore2.ConnectTimeout, Reason.CONNECTION_TIMEOUT),
    (httpcore2.WriteTimeout, Reason.CONNECTION_WRITE_TIMEOUT),
    (httpcore2.TimeoutException, Reason.HTTP_RESPONSE_TIMEOUT),
    (httpcore2.ConnectError, Reason.DESTINATION_IP_UNROUTABLE),
    (httpcore2.NetworkError, Reason.CONNECTION_TERMINATED),
    (httpcore2.ProtocolError, Reason.HTTP_PROTOCOL_ERROR),
    (httpcore2.ProxyError, Reason.DESTINATION_UNAVAILABLE),
)
EXPECTED = tuple(kind for kind, _ in REASONS)

# A reset that nobody can take must not hold up whoever leaves an HTTP/2 stream.
RESET_SECONDS = 0.5


def reason_of(error: Exception) -> Reason:
    """Why the library's exception means that no reply came; it must be one of `EXPECTED`."""
    return next(reason for kind, reason in REASONS if isinstance(error, kind))


class Stream(httpcore2.AsyncNetworkStream):
    """A wire as the library wants it."""

    def __init__(self, wire: Wire | SecureWire) -> None:
        self._wire = wire

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109  (theirs)
        """Read what is there, up to `max_bytes`."""
        try:
            return await self._wire.read(max_bytes, timeout)
        except TimeoutError as error:
            raise httpcore2.ReadTimeout from error
        except OSError as error:
            raise httpcore2.ReadError from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109  (theirs)
        """Write it all."""
        try:
            await self._wire.write(buffer, timeout)
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError from error

    async def aclose(self) -> None:
        """End at once."""
        self._wire.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  (theirs)
    ) -> httpcore2.AsyncNetworkStream:
        """Begin TLS; whatever hinders it, a cancellation too, ends the connection. Raises NoReply."""
        assert isinstance(self._wire, Wire)  # noqa: S101  (there is no TLS inside TLS)
        try:
            secure = SecureWire(self._wire, ssl_context, server_hostname or "")
            await secure.shake_hands(timeout)
        except BaseException as error:
            self._wire.close()
            if isinstance(error, TimeoutError):
                raise NoReply(Reason.CONNECTION_TIMEOUT) from error
            if isinstance(error, ssl.SSLCertVerificationError):
                raise NoReply(Reason.TLS_CERTIFICATE_ERROR) from error
            if isinstance(error, OSError | ValueError):  # a server name may be none
                raise NoReply(Reason.TLS_PROTOCOL_ERROR) from error
            raise
        return Stream(secure)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  (theirs)
        """Tell the library about the connection."""
        if info == "is_readable":
            return not self._wire.is_quiet()
        if info == "has_ended":
            return self._wire.has_ended()
        return self._wire.session if info == "ssl_object" and isinstance(self._wire, SecureWire) else None


class Dialer(httpcore2.AsyncNetworkBackend):
    """Opens connections: to the vendor's own addresses, or through an egress proxy's CONNECT."""

    def __init__(self, proxy: str | None) -> None:
        self._proxy = urlsplit(proxy) if proxy else None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  (the library's interface)
        local_address: str | None = None,  # noqa: ARG002  (theirs, never set by our pool)
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002  (the same)
    ) -> httpcore2.AsyncNetworkStream:
        """Dial within `timeout` seconds. Raises NoReply."""
        try:
            async with asyncio.timeout(timeout):
                return Stream(await (self._dial(host, port) if self._proxy is None else self._through(host, port)))
        except TimeoutError as error:
            raise NoReply(Reason.CONNECTION_TIMEOUT) from error

    async def _dial(self, host: str, port: int) -> Wire:
        """Connect to whichever address of the host answers. Raises NoReply."""
        return await race(await resolve(host, port), lambda address: connect(address, port), abandon=Wire.close)

    async def _through(self, host: str, port: int) -> Wire:
        """Ask the egress proxy for a tunnel (RFC 9110 section 9.3.6)."""
        assert self._proxy is not None  # noqa: S101  (asked by the only caller)
        try:
            wire = await self._dial(str(self._proxy.hostname), self._proxy.port or 80)
        except NoReply as nothing:
            raise NoReply(Reason.DESTINATION_UNAVAILABLE) from nothing
        try:
            await self._ask(wire, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except BaseException as error:
            wire.close()
            if isinstance(error, OSError):
                raise NoReply(Reason.DESTINATION_UNAVAILABLE) from error
            raise
        return wire

    async def _ask(self, wire: Wire, authority: str) -> None:
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
        if self._proxy is not None and self._proxy.username:
            userinfo = f"{unquote(self._proxy.username)}:{unquote(self._proxy.password or '')}"
            lines.append(f"Proxy-Authorization: Basic {base64.b64encode(userinfo.encode()).decode()}")
        await wire.write("\r\n".join([*lines, "", ""]).encode(), None)
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = await wire.read(CONNECT_HEAD_LIMIT_BYTES, None)
            head += chunk
            if not chunk or len(head) > CONNECT_HEAD_LIMIT_BYTES:
                raise NoReply(Reason.DESTINATION_UNAVAILABLE)
        version, _, rest = head.partition(b" ")
        # Bytes behind the head would be read as the vendor's: such a tunnel is refused.
        if not version.startswith(b"HTTP/1.") or not rest.startswith(b"2") or not head.endswith(b"\r\n\r\n"):
            raise NoReply(Reason.DESTINATION_UNAVAILABLE)


async def stopped(task: "asyncio.Future[Any] | None") -> None:
    """Cancel a task and wait until it is gone; what it failed with interests nobody any more."""
    if task is not None and not task.cancelled():
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()


def silence() -> None:
    """
    Turn off the logs of the libraries below: at DEBUG they write every header field, credentials among them (W-140).

    A level could be set back by whoever sets them all.
    """
    for name in TALKATIVE:
        logging.getLogger(name).disabled = True


class ExactConnection(httpcore2.AsyncHTTP11Connection):
    """An HTTP/1.1 connection with a bounded head, used again only after a reply that left nothing behind."""

    MAX_INCOMPLETE_EVENT_SIZE = HEAD_LIMIT_BYTES
    # Whether something came on it before its request went out.
    _spoke_first = False
    # The upload that goes on while the reply is already coming.
    _upload: "asyncio.Future[None] | None" = None

    async def _send_request_headers(self, request: httpcore2.Request) -> None:
        call = cast("Call", request.extensions["call"])
        # What was said before the request is no answer to it: the answer may still come, and would be the next one's.
        self._spoke_first = self._network_stream.get_extra_info("is_readable")
        call.sent_at = time.perf_counter()
        await super()._send_request_headers(request)

    async def _send_request_body(self, request: httpcore2.Request) -> None:
        """
        Send the body, and notice a reply that comes before its end (W-161).

        The library reads only once all is sent. An early error stops the upload; under an early success it goes on.
        """
        if cast("Call", request.extensions["call"]).body is None:
            await super()._send_request_body(request)
            return
        sending = asyncio.ensure_future(super()._send_request_body(request))
        reading = asyncio.ensure_future(self._network_stream.read(self.READ_NUM_BYTES))
        try:
            await asyncio.wait({sending, reading}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await stopped(reading)
            elif not reading.exception() and (early := reading.result()):
                self._h11_state.receive_data(early)
            if sending.done():
                await sending
            else:
                self._upload = sending
        except BaseException:
            await stopped(sending)
            await stopped(reading)
            raise

    async def _receive_event(self, timeout: float | None = None) -> Any:  # noqa: ANN401, ASYNC109  (the library's)
        """Receive, and while the upload goes on let what its source raises through: the caller hung up, say (W-157)."""
        upload = self._upload
        if upload is not None and not upload.done():
            # The time for a head counts from the request's last byte; until then `total` bounds it.
            pause = None if self._h11_state.their_state is h11.SEND_RESPONSE else timeout
            receiving: asyncio.Future[Any] = asyncio.ensure_future(super()._receive_event(timeout=pause))
            both: set[asyncio.Future[Any]] = {upload, receiving}
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if receiving.done():
                    return receiving.result()
            finally:
                await stopped(receiving)
        if upload is not None and upload.done() and not upload.cancelled():
            self._upload = None
            # A vendor that takes no more may still have answered.
            with contextlib.suppress(httpcore2.WriteError):
                upload.result()
        return await super()._receive_event(timeout=timeout)

    async def _receive_response_headers(
        self, request: httpcore2.Request
    ) -> tuple[bytes, int, bytes, list[Header], bytes]:
        timeout = request.extensions["timeout"]["read"]
        for interim in range(INTERIM_LIMIT + 1):
            event = await self._head_event(timeout, begun=interim > 0)
            # An interim reply says nothing that we pass on (W-041); an unasked 101 makes the parser raise (W-038).
            if isinstance(event, h11.Response):
                break
        else:
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
        headers = event.headers.raw_items()
        if event.status_code >= 400:  # noqa: PLR2004
            await stopped(self._upload)
        # The parser takes any two digits; what another major version means by its fields is unknown (RFC 9112 2.3).
        if not event.http_version.startswith(b"1."):
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
        check_head(event.status_code, headers)
        return b"HTTP/" + event.http_version, event.status_code, event.reason, headers, b""

    async def _head_event(
        self,
        timeout: float | None,  # noqa: ASYNC109  (passed on to the library)
        *,
        begun: bool,
    ) -> h11.Response | h11.InformationalResponse:
        """The next head; `begun`: a byte of the reply was here before."""
        try:
            return cast("h11.Response | h11.InformationalResponse", await self._receive_event(timeout=timeout))
        except (httpcore2.RemoteProtocolError, httpcore2.NetworkError) as error:
            received, _ = self._h11_state.trailing_data
            if isinstance(error.__cause__, h11.RemoteProtocolError):
                too_long = error.__cause__.error_status_hint == 431  # noqa: PLR2004
                reason = Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE if too_long else Reason.HTTP_PROTOCOL_ERROR
            else:
                reason = Reason.HTTP_RESPONSE_INCOMPLETE if begun or received else Reason.CONNECTION_TERMINATED
            raise NoReply(reason) from error

    async def _response_closed(self) -> None:
        await stopped(self._upload)
        self._upload = None
        # Bytes behind a whole reply would be read as the answer to the next caller's request (W-171).
        surplus = self._spoke_first or self._h11_state.trailing_data[0]
        if surplus or self._network_stream.get_extra_info("is_readable"):
            await self.aclose()
        else:
            await super()._response_closed()


class ExactStreams(httpcore2.AsyncHTTP2Connection):
    """An HTTP/2 connection whose replies are held to the same rules, left as soon as it can carry no more."""

    # The library's does not: a line break in a value would become a header of ours (W-052).
    CONFIG = h2.config.H2Configuration(validate_inbound_headers=True)

    async def _receive_response(self, request: httpcore2.Request, stream_id: int) -> tuple[int, list[Header]]:
        try:
            status, headers = await super()._receive_response(request, stream_id)
        except ValueError as error:
            raise NoReply(Reason.HTTP_PROTOCOL_ERROR) from error
        check_head(status, headers)
        return status, headers

    async def _response_closed(self, stream_id: int) -> None:
        """Leave a stream; one that goes on is reset, or what still comes would use up the connection's window."""
        with contextlib.suppress(h2.exceptions.ProtocolError, *EXPECTED):
            self._h2_state.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
            await self._network_stream.write(self._h2_state.data_to_send(), RESET_SECONDS)
        await super()._response_closed(stream_id)

    def has_expired(self) -> bool:
        """Whether it is idle for too long, or was ended by the vendor, or broke: the library would keep its place."""
        stream = self._network_stream
        spent = self.is_idle() and (not self.is_available() or stream.get_extra_info("has_ended"))
        return super().has_expired() or spent


def check_head(status: int, headers: list[Header]) -> None:
    """Hold a reply's head to the bounds (contract 8). Raises NoReply."""
    if not 200 <= status <= 599:  # noqa: PLR2004
        raise NoReply(Reason.HTTP_PROTOCOL_ERROR)
    if len(headers) > HEAD_LIMIT_FIELDS or sum(len(k) + len(v) + 4 for k, v in headers) > HEAD_LIMIT_BYTES:
        raise NoReply(Reason.HTTP_RESPONSE_HEADER_SECTION_SIZE)


class Connection(httpcore2.AsyncHTTPConnection):
    """A connection of the pool: the library's, but for the two versions of HTTP, which are ours."""

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Connect if need be, note when, and send."""
        call = cast("Call", request.extensions["call"])
        call.connected_at = time.perf_counter()
        fresh = self._connection is None
        try:
            async with self._request_lock:
                if self._connection is None:
                    stream = await self._connect(request)
                    tls = stream.get_extra_info("ssl_object")
                    if tls is not None and tls.selected_alpn_protocol() == "h2":
                        self._connection = ExactStreams(self._origin, stream, self._keepalive_expiry)
                    else:
                        self._connection = ExactConnection(self._origin, stream, self._keepalive_expiry)
        except BaseException:
            self._connect_failed = True
            raise
        if call.ready is not None:
            try:
                call.ready()
            except BaseException:
                # The library takes a connection for free only after its first reply.
                if fresh and isinstance(self._connection, ExactConnection):
                    await self._connection.aclose()
                raise
        if isinstance(self._connection, ExactStreams):
            call.sent_at = time.perf_counter()
        return await self._connection.handle_async_request(request)


class Pool(httpcore2.AsyncConnectionPool):
    """The library's pool over our own connections."""

    def create_connection(self, origin: httpcore2.Origin) -> Connection:
        """Make a connection that is dialled when its first request is sent."""
        return Connection(
            origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=self._keepalive_expiry,
            http1=self._http1,
            http2=self._http2,
            network_backend=self._network_backend,
        )


class HttpxExchange:
    """A reply of httpcore2 whose body is still coming."""

    __slots__ = ("_response", "headers", "status", "whole")

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response
        self.whole: bytes | None = None
        self.status = response.status
        self.headers = response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises `Cut`."""
        try:
            async for chunk in cast("AsyncIterable[bytes]", self._response.stream):
                # An empty frame of HTTP/2 is no news.
                if chunk:
                    yield chunk
        except httpcore2.TimeoutException as error:
            raise Cut(Reason.HTTP_RESPONSE_TIMEOUT) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, h2.exceptions.ProtocolError) as error:
            raise Cut(Reason.HTTP_RESPONSE_INCOMPLETE) from error


class HttpxUpstream:
    """
    The connections to one vendor's origin, by httpcore2.

    Mutable state: the pool. One pool per vendor, so that nothing of one vendor's TLS or damage reaches another's.
    """

    def __init__(
        self,
        base_url: str,
        *,
        max_connections: int,
        tls: ssl.SSLContext,
        server_name: str | None = None,
        proxy: str | None = None,
        http2: bool = False,
    ) -> None:
        silence()
        parts = urlsplit(base_url)
        self._scheme = parts.scheme.encode()
        self._host = str(parts.hostname).encode("ascii")
        self._port = parts.port
        self._server_name = server_name
        self._max_connections = max_connections
        self._pool = Pool(
            ssl_context=tls,
            max_connections=max_connections,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            http2=http2,
            network_backend=Dialer(proxy),
        )

    @contextlib.asynccontextmanager
    async def exchange(self, call: Call) -> AsyncIterator[HttpxExchange]:
        """Send the call and wait for the reply's head. Raises `NoReply`."""
        call.began_at = time.perf_counter()
        limits = call.timeouts
        timeout = {
            "pool": limits.connect,
            "connect": limits.connect,
            "write": limits.idle,
            "read": limits.first_byte,
        }
        extensions: dict[str, Any] = {"timeout": timeout, "call": call}
        if self._server_name is not None:
            extensions["sni_hostname"] = self._server_name
        request = httpcore2.Request(
            method=call.method,
            url=httpcore2.URL(scheme=self._scheme, host=self._host, port=self._port, target=call.target),
            headers=call.headers,
            content=call.body,
            extensions=extensions,
        )
        try:
            async with asyncio.timeout(limits.total) as total:
                response = await self._pool.handle_async_request(request)
        except TimeoutError as error:
            if not total.expired():
                raise
            sent = call.sent_at is not None
            raise NoReply(Reason.HTTP_RESPONSE_TIMEOUT if sent else Reason.CONNECTION_TIMEOUT) from error
        except EXPECTED as error:
            raise NoReply(reason_of(error)) from error
        call.head_at = time.perf_counter()
        # From here on every read is one of the body.
        timeout["read"] = limits.idle
        try:
            yield HttpxExchange(response)
        finally:
            await response.aclose()

    def connections(self) -> tuple[int, int, int]:
        """How many connections are busy, idle, and still free to be opened."""
        open_now = self._pool.connections
        idle = sum(connection.is_idle() for connection in open_now)
        return len(open_now) - idle, idle, max(0, self._max_connections - len(open_now))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
