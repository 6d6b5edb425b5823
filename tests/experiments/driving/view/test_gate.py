"""The gate of a drive's page, asked over real connections: who may come in, what they may say, and how fast."""

from __future__ import annotations

import contextlib
import http.client
import math
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import envs
from experiments.driving.view.page import View
from experiments.driving.view.state import Picture

viser = pytest.importorskip("viser", reason="the page needs viser, of the extra `view`")
msgspec = pytest.importorskip("msgspec")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

from experiments.driving.view import gate  # noqa: E402
from experiments.driving.view.gate import BURST, MESSAGES, PATIENCE, VISITORS, Gate, is_loopback  # noqa: E402

TASK = envs.make("two_room")
CAMERA = {
    "type": "ViewerCameraMessage",
    "wxyz": (1.0, 0.0, 0.0, 0.0),
    "position": (0.0, 0.0, 9.0),
    "fov": 0.7,
    "near": 0.1,
    "far": 100.0,
    "image_height": 800,
    "image_width": 1280,
    "look_at": (0.0, 0.0, 0.0),
    "up_direction": (0.0, 1.0, 0.0),
}


def page(host):
    return View(TASK, {"distance": 1.0, "effort": 0.1}, 0.05, host, 0)


@pytest.fixture(scope="module")
def local():
    with page("127.0.0.1") as view:
        yield view


@pytest.fixture(scope="module")
def public():
    with page("0.0.0.0") as view:
        yield view


def port(view):
    return int(view.address.split(":")[2].split("/")[0])


def visit(view, path="", origin="http://{host}", host="127.0.0.1:{port}", **settings):
    """A websocket to the page, as a browser opens it that shows a page of `origin` found under the name `host`."""
    host = host.format(port=port(view))
    origin = None if origin is None else origin.format(host=host)
    address = ("127.0.0.1", port(view))
    return connect(
        f"ws://{host}/{path}",
        sock=socket.create_connection(address),
        origin=origin,
        subprotocols=[f"viser-v{viser.__version__}"],
        proxy=None,
        max_size=None,
        **settings,
    )


def refused(view, *args, **kwargs):
    with pytest.raises(InvalidStatus) as error:
        visit(view, *args, **kwargs).close()
    return error.value.response.status_code


def path(view):
    return view.address.split("/", 3)[3] if view.address.count("/") > 2 else ""


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "localhost:9000"])
def test_the_page_itself_may_connect(local, host):
    visit(local, host=host).close()
    visit(local, host=host, origin="https://{host}").close()


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://elsewhere.example", "127.0.0.1:{port}"),
        ("http://127.0.0.1:1", "127.0.0.1:{port}"),  # another page of this machine
        ("http://localhost", "localhost:{port}"),
        ("null", "127.0.0.1:{port}"),
        ("", "127.0.0.1:{port}"),
        (None, "127.0.0.1:{port}"),
        ("http://{host}", "elsewhere.example:{port}"),  # a foreign name that points to this machine
    ],
)
def test_another_page_may_not(local, origin, host):
    assert refused(local, origin=origin, host=host) == 403


def test_a_page_on_this_machine_needs_no_token(local):
    assert path(local) == ""


def test_a_page_for_all_machines_needs_its_token(public):
    token = path(public).strip("/")
    assert len(token) >= 32
    for host in ("127.0.0.1:{port}", "robot.example:{port}"):
        visit(public, token, host=host).close()
        for wrong in ("", token[:-1], token[:-1] + "\u007f", f"{token}/{token}", "index.html"):
            assert refused(public, wrong, host=host) == 403
    assert refused(public, token, origin="http://elsewhere.example") == 403


def get(view, path):
    connection = http.client.HTTPConnection("127.0.0.1", port(view), timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_without_its_token_there_is_no_page(public):
    assert get(public, "/")[0] == get(public, "/index.html")[0] == get(public, "/../x")[0] == 403
    status, body = get(public, f"/{path(public)}?x=1")
    assert status == 200 and b"<script" in body


def test_two_pages_have_different_tokens(public):
    with page("0.0.0.0") as other:
        assert path(other) != path(public)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_names_of_this_machine(host):
    assert is_loopback(host) and not Gate(host).token


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.0.7", "robot.local", "localhost.example"])
def test_names_of_others(host):
    assert not is_loopback(host) and Gate(host).token


def test_a_viser_that_does_not_pass_the_gate_is_found_out(monkeypatch):
    """As if it started its server under another name."""
    monkeypatch.setattr(gate, "standing", lambda gate: contextlib.nullcontext())
    before = threading.active_count()
    with pytest.raises(RuntimeError, match="lets foreign pages in"):
        page("127.0.0.1")
    assert threading.active_count() <= before


@pytest.mark.parametrize(
    ("host", "at", "words"),
    [("192.0.2.1", 0, "host=192.0.2.1 is no address of this machine"), ("127.0.0.1", 70000, "between 0 and 65535")],
)
def test_an_address_where_nothing_can_listen_is_refused(host, at, words):
    with pytest.raises(ValueError, match=words):
        View(TASK, {"distance": 1.0}, 0.05, host, at)


class Client:
    """A visitor with a camera, who moves sliders and reads what comes."""

    def __init__(self, view):
        self.view, self.socket = view, visit(view, path(view).strip("/"))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.say(CAMERA)

    def _read(self):
        try:
            for _ in self.socket:
                pass
        except ConnectionClosed:
            pass

    def say(self, message):
        self.socket.send(msgspec.msgpack.encode(message))

    def move(self, slider, value, name="value"):
        self.say({"type": "GuiUpdateMessage", "uuid": slider._impl.uuid, "updates": {name: value}})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self._reader.join()


def wished(view, condition=bool):
    """The next wishes of the page's visitors."""
    end = time.monotonic() + 30
    while not condition(wishes := view.wishes()):
        assert time.monotonic() < end, "nobody wished that"
        time.sleep(0.005)
    return wishes


def test_values_are_brought_into_the_sliders_ranges(local):
    weight, goal = local._weight_sliders["effort"], local._goal_sliders[0]
    with Client(local) as visitor:
        visitor.move(weight, 1e6)
        assert wished(local).weights == {"distance": 1.0, "effort": weight.max}
        visitor.move(weight, -5)
        assert wished(local).weights == {"distance": 1.0, "effort": weight.min}
        visitor.move(goal, 99.0)
        assert wished(local).goal[0] == goal.max
        assert goal.value == goal.max, "other visitors see what counts"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e308, "far", None, [0.5], {"a": 1.0}, b"\0" * 9])
def test_what_is_no_usable_number_is_ignored(local, value):
    weight, goal = local._weight_sliders["effort"], local._goal_sliders[0]
    weight.value, goal.value = 0.3, 0.1
    with Client(local) as visitor:
        visitor.move(weight, value)
        visitor.move(goal, value)
        visitor.move(weight, 0.4)
        wishes = wished(local)
    assert wishes.goal is None and wishes.weights == {"distance": 1.0, "effort": 0.4}
    assert goal.value == 0.1


def test_a_visitor_may_set_nothing_but_values(local):
    weight = local._weight_sliders["effort"]
    callbacks, most = list(weight._impl.update_cb), weight.max
    with Client(local) as visitor:
        for name, value in (("update_cb", 0.0), ("removed", True), ("is_button", True), ("sync_cb", 0.0), ("max", 1e9)):
            visitor.move(weight, value, name)
        visitor.say({"type": "GuiCloseModalMessage", "uuid": "x"})
        visitor.say({"type": "no such message"})
        visitor.say({**CAMERA, "image_height": 0})
        visitor.say({**CAMERA, "position": (math.nan, 0.0, 0.0)})
        visitor.say([1, 2])
        visitor.socket.send("text")
        visitor.socket.send(b"\xc1\xff")
        visitor.move(weight, 0.5)
        assert wished(local).weights["effort"] == 0.5
    assert weight._impl.update_cb == callbacks and not weight._impl.removed and weight.max == most


def test_only_so_many_visitors(local):
    inside = [visit(local) for _ in range(VISITORS)]
    try:
        assert refused(local) == 503
    finally:
        for each in inside:
            each.close()


def flood(visitor, sliders, stop):
    """Move the sliders as fast as the socket takes it; how many messages that were until the gate cut them off."""
    moves = [
        msgspec.msgpack.encode({"type": "GuiUpdateMessage", "uuid": slider._impl.uuid, "updates": {"value": value}})
        for value in (0.11, 0.12)
        for slider in sliders
    ]
    sent = 0
    with contextlib.suppress(ConnectionClosed, OSError):
        while not stop.is_set():
            visitor.socket.send(moves[sent % len(moves)])
            sent += 1
    return sent


def test_a_flood_does_not_reach_the_loop():
    """The loop takes all of its steps, little of the flood arrives, nothing is queued, and others steer on."""
    state, goal = TASK.sample_pair(np.random.default_rng(0))
    picture = Picture(state, 1.2, "PLAN", (), None, np.array([3.0, 1.0]), 4.2, 2, 3, 0, False)
    arrived, stop = [], threading.Event()
    with page("127.0.0.1") as view, Client(view) as other, ThreadPoolExecutor() as threads:
        view.begin(goal)
        weight, place = view._weight_sliders["effort"], view._goal_sliders[0]
        weight.on_update(lambda event: arrived.append(event.client))
        other.move(weight, 0.5)
        assert wished(view).weights["effort"] == 0.5
        began, flooder = time.monotonic(), Client(view)
        flooding = threads.submit(flood, flooder, (weight, place), stop)
        steps, end = 0, began + 60
        try:
            while not flooding.done():  # the loop: it takes what is newest, and leaves what there is to see
                assert time.monotonic() < end, "a flooder is never cut off"
                weights = view.wishes().weights
                assert weights is None or weights["effort"] in (0.5, 0.11, 0.12)
                view.show(picture)
                steps += 1
                stop.wait(0.01)  # the rest of a control period
        finally:
            stop.set()
        most = BURST + MESSAGES * (time.monotonic() - began + 1)
        assert flooding.result() > 2 * len(arrived) and len(arrived) <= most
        assert refused(view) == 429, "they do not come back at once"
        other.move(weight, 0.6)
        assert wished(view, lambda wishes: wishes.weights == {"distance": 1.0, "effort": 0.6})
        flooder.socket.close()
    assert steps > PATIENCE / 10 and len(view._pictures) <= 512
