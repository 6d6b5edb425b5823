"""The gate in front of a drive's page: who may come in, what they may say, and how fast.

viser accepts every connection and every message, and has no hook for either. A proxy in front of it would leave
viser's own port open to any page in a browser on this machine. While viser starts, `websockets.asyncio.server.serve`,
which it calls by that name, gets this module's `process_request` and connection class, by parameters that are public.
`verify` then asks the running server as a foreign page would: a viser that starts its server in another way is found
out at once, and its page is taken down.

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

VISITORS = 8  # at once
MESSAGES = 100.0  # a second that are read of each visitor; a slider and a camera in use send less
BURST = 50  # messages that may come at once
PATIENCE = 200  # messages in a row that had to wait: whoever goes on like this is no person, and is cut off
SHUT_OUT = 5.0  # seconds in which their address may not come back
LARGEST = 1 << 14  # bytes of a message
FINITE = 3.4e38  # beyond this a number is infinite in float32

Reply = Response | None
ProcessRequest = Callable[[ServerConnection, Request], Reply | Awaitable[Reply]]


class Moved(msgspec.Struct, tag="GuiUpdateMessage", tag_field="type", forbid_unknown_fields=True):
    """A slider was moved or a button pressed; viser would let a visitor set any other attribute, too."""

    uuid: str
    updates: dict[Literal["value"], bool | float]


class Looked(msgspec.Struct, tag="ViewerCameraMessage", tag_field="type", forbid_unknown_fields=True):
    """The visitor's camera moved."""

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
    """Whether a message is one that a page needs to send, with finite numbers; everything else is dropped unread."""
    if not isinstance(message, bytes):
        return False
    try:
        said = _decoder.decode(message)
    except msgspec.MsgspecError:
        return False
    if isinstance(said, Moved):
        return all(map(finite, said.updates.values()))
    numbers = (*said.wxyz, *said.position, *said.look_at, *said.up_direction, said.fov, said.near, said.far)
    return all(map(finite, numbers)) and 0 < said.image_height < 1 << 16 and 0 < said.image_width < 1 << 16


def finite(value: float) -> bool:
    """Whether a number is finite in float32, too."""
    return math.isfinite(value) and abs(value) < FINITE


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_address(host: str, port: int) -> None:
    """Raise ValueError where nothing can listen: viser would wait for its server for ever."""
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
    """Who may come to a page that listens at `host`.

    On this machine alone: whoever asks for it by a name of this machine, and for a websocket from the page itself.
    Anywhere else: only who has the address with the token, too.
    """

    def __init__(self, host: str):
        self.host = host
        self._shut_out: dict[str, float] = {}  # until when, by address, on the clock of `time.monotonic`
        self.token = "" if is_loopback(host) else secrets.token_urlsafe(24)

    def address(self, port: int) -> str:
        """What to open in a browser; of a page that listens everywhere, the machine's name is for visitors to put."""
        host = "localhost" if is_loopback(self.host) or self.host in ("0.0.0.0", "::", "") else self.host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{port}" + (f"/{self.token}/" if self.token else "")

    def refusal(self, request: Request) -> str | None:
        """Why a request is not answered, or None where it is."""
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
        """A `process_request` that refuses at the gate, and otherwise asks `inner`, which sees no token."""

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
        """Cut a visitor off, and do not let them back for a while."""
        now = time.monotonic()
        self._shut_out = {address: until for address, until in self._shut_out.items() if until > now}
        self._shut_out[_address(connection)] = now + SHUT_OUT
        connection.transport.abort()  # to close politely would be to read on until they answer


@final
class Visitor(ServerConnection):
    """A connection that is read at a person's pace, and cut off where it sends at a machine's.

    Whatever a visitor sends is read here first, one message at a time, and viser never sees what is not `understood`.
    """

    def __init__(self, *args: Any, gate: Gate, **settings: Any):
        super().__init__(*args, **settings)
        self._gate, self._free_at, self._waited = gate, 0.0, 0

    async def recv(self, decode: bool | None = None) -> Any:
        """The next message that is understood."""
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
    """Whatever server `websockets` starts in the meantime stands behind the gate."""
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
    """Ask for a connection as a foreign page would.

    Raises:
      RuntimeError: it is not refused.
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
    """The value of a header that is there once."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None
