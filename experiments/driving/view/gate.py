"""The gate in front of a drive's page: access, permitted messages, and rate limits.

viser accepts every connection and every message, and has no hook for either. A proxy in front of it would leave
viser's own port open to any page in a browser on this machine. While viser starts, `websockets.asyncio.server.serve`,
which it calls by that name, gets this module's `process_request` and connection class, by parameters that are public.
`verify` then asks the running server as a foreign page would: a viser that starts its server in another way is
detected immediately, and its page is taken down.

Importing this module needs `websockets` and `msgspec`, which viser brings.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import math
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, final
from urllib.parse import urlsplit

import msgspec
from websockets.asyncio import server as websocket_server
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import connect
from websockets.typing import Origin

VISITORS = 8  # simultaneous connections
MESSAGES = 100.0  # messages per second read from each visitor; a slider and a camera in use send fewer
BURST = 50  # messages in one burst
PATIENCE = 200  # consecutive delayed messages after which a visitor is disconnected as automated
SHUT_OUT = 5.0  # seconds for which the address is then blocked
LARGEST = 1 << 14  # maximum bytes of a message
FINITE = 3.4e38  # beyond this a number is infinite in float32

Reply = Response | None
ProcessRequest = Callable[[ServerConnection, Request], Reply | Awaitable[Reply]]


class Moved(msgspec.Struct, tag="GuiUpdateMessage", tag_field="type", forbid_unknown_fields=True):
    """Message for a moved slider or a pressed button; viser alone would accept any other attribute, too."""

    uuid: str
    updates: dict[Literal["value"], bool | float]


class Looked(msgspec.Struct, tag="ViewerCameraMessage", tag_field="type", forbid_unknown_fields=True):
    """Message for a moved camera of the visitor."""

    wxyz: tuple[float, float, float, float]
    position: tuple[float, float, float]
    fov: float
    near: float
    far: float
    image_height: int
    image_width: int
    look_at: tuple[float, float, float]
    up_direction: tuple[float, float, float]


_decoder = msgspec.msgpack.Decoder(Moved | Looked)


def understood(message: object) -> bool:
    """Whether a message is of a type that the page sends, with finite numbers; all others are dropped unread."""
    if not isinstance(message, bytes):
        return False
    try:
        decoded = _decoder.decode(message)
    except msgspec.MsgspecError:
        return False
    if isinstance(decoded, Moved):
        return all(map(finite, decoded.updates.values()))
    numbers = (
        *decoded.wxyz,
        *decoded.position,
        *decoded.look_at,
        *decoded.up_direction,
        decoded.fov,
        decoded.near,
        decoded.far,
    )
    return all(map(finite, numbers)) and 0 < decoded.image_height < 1 << 16 and 0 < decoded.image_width < 1 << 16


def finite(value: float) -> bool:
    """Whether a number is finite in float32, too."""
    return math.isfinite(value) and abs(value) < FINITE


def is_loopback(host: str) -> bool:
    """Whether `host` is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(host: str, port: int) -> None:
    """Raise ValueError if nothing can listen at the address: viser would wait for its server without end."""
    if not 0 <= port < 1 << 16:
        raise ValueError(f"port must lie between 0 and {(1 << 16) - 1}; got {port}")
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM):
            with socket.socket(family, kind, protocol) as probe:
                probe.bind(address)
    except OSError as error:
        raise ValueError(
            f"host={host} is no address of this machine ({error.strerror}): take 127.0.0.1, or 0.0.0.0 for all it has"
        ) from error


@final
class Gate:
    """Access control for a page that listens at `host`.

    On a loopback host: requests that name this machine, and websockets opened by the page itself.
    On any other host: additionally only requests with the token.
    """

    def __init__(self, host: str):
        self.host = host
        self._shut_out: dict[str, float] = {}  # until when, by address, on the clock of `time.monotonic`
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(24)

    def address(self, port: int) -> str:
        """URL to open in a browser; for a page on all interfaces, visitors replace the host by the machine's name."""
        host = "localhost" if is_loopback(self.host) or self.host in ("0.0.0.0", "::", "") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}" + (f"/{self.token}/" if self.token else "")

    def refusal(self, request: Request) -> str | None:
        """Reason for refusing a request, or None if it is accepted."""
        headers = request.headers
        host = _only(headers, "Host")
        if host is None:
            return "a request needs one Host"
        if self.token:
            given = request.path.partition("?")[0].strip("/").encode()
            if not hmac.compare_digest(given, self.token.encode()):
                return "open the page by the address that was printed, with its token"
        elif not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return "this page is for the machine that it runs on"  # a foreign name that points here: DNS rebinding
        if "Upgrade" in headers:
            origin = _only(headers, "Origin") or ""
            if origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower()):
                return "a connection has to come from this very page"
        return None

    def before(self, inner: ProcessRequest | None) -> ProcessRequest:
        """Wrap `inner` in a `process_request` that checks the gate first; `inner` sees no token."""

        def process_request(connection: ServerConnection, request: Request) -> Reply | Awaitable[Reply]:
            if (why := self.refusal(request)) is not None:
                return connection.respond(403, f"{why}\n")
            if "Upgrade" in request.headers:
                if time.monotonic() < self._shut_out.get(_address(connection), 0.0):
                    return connection.respond(429, "too many messages came from here\n")
                if len(connection.server.connections) >= VISITORS:
                    return connection.respond(503, f"there are {VISITORS} visitors already\n")
            return None if inner is None else inner(connection, Request("/", request.headers))

        return process_request

    def shut_out(self, connection: ServerConnection) -> None:
        """Disconnect a visitor, and block the address for a while."""
        now = time.monotonic()
        self._shut_out = {address: until for address, until in self._shut_out.items() if until > now}
        self._shut_out[_address(connection)] = now + SHUT_OUT
        connection.transport.abort()  # a closing handshake would read on until they answer


@final
class Visitor(ServerConnection):
    """Connection with a rate limit for human use; automated senders are disconnected.

    Every message of a visitor is read here first, one at a time; viser never sees one that is not `understood`.
    """

    def __init__(self, *args: Any, gate: Gate, **settings: Any):
        super().__init__(*args, **settings)
        self._gate, self._free_at, self._waited = gate, 0.0, 0

    async def recv(self, decode: bool | None = None) -> Any:
        """Next message that is understood."""
        while True:
            message = await super().recv(decode)
            now = self.loop.time()
            self._free_at = max(self._free_at, now - BURST / MESSAGES) + 1 / MESSAGES
            self._waited = self._waited + 1 if self._free_at > now else 0
            if self._waited > PATIENCE:
                self._gate.shut_out(self)
            elif self._free_at > now:
                # websockets stops reading the socket once a few frames wait, and then TCP stops the sender.
                await asyncio.sleep(self._free_at - now)
            if understood(message):
                return message


@contextmanager
def standing(gate: Gate) -> Iterator[None]:
    """Context in which every server that `websockets` starts is put behind the gate."""
    serve: Any = websocket_server.serve

    def guarded(*args: Any, process_request: ProcessRequest | None = None, **settings: Any) -> Any:
        settings |= {"process_request": gate.before(process_request), "max_size": LARGEST}
        return serve(*args, **settings, create_connection=partial(Visitor, gate=gate))

    websocket_server.serve = guarded  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        websocket_server.serve = serve  # type: ignore[misc]


def verify(gate: Gate, port: int) -> None:
    """Request a connection as a foreign page would.

    Raises:
      RuntimeError: the request is not refused.
    """
    here = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "[::1]", "::1": "[::1]"}.get(gate.host, gate.host)
    foreign = Origin("http://elsewhere.invalid")
    try:
        with connect(f"ws://{here}:{port}/{gate.token}", origin=foreign, proxy=None):
            pass
    except InvalidStatus as refused:
        if refused.response.status_code == 403:
            return
    raise RuntimeError("the page lets foreign pages in: this viser starts its server in a way that is not known here")


def _address(connection: ServerConnection) -> str:
    return str((connection.remote_address or ("",))[0])


def _only(headers: Headers, name: str) -> str | None:
    """Value of a header that occurs exactly once."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None
