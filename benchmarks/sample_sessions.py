"""Readers on computers of their own: sessions that speak Streamlit's protocol and draw nothing here.

Twenty windows of one browser on the machine that serves them measure the browser. A session here does what a
window does on the wire: it asks for the page, takes what the server sends, and asks for every fragment again
as often as the page says.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

LARGEST = 100_000_000
"""Bytes of a message that is taken."""
PATIENCE = 60.0
"""Seconds within which a page has to be there."""


class Session:
    """One reader of the opening page.

    Args:
        connection: to the server.

    Attributes:
        answers: how often the server has drawn the page or a part of it.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._due: dict[str, tuple[float, float]] = {}
        self.answers = 0
        self._drawn = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self._ask(ClientState())
        if not self._drawn.wait(PATIENCE):
            raise RuntimeError(f"a session had no page after {PATIENCE:.0f} s: is the server alive?")

    def _ask(self, state: ClientState) -> None:
        self._connection.send(BackMsg(rerun_script=state).SerializeToString())

    def _live(self) -> None:
        """Take messages, and ask for fragments when their time has come, until the connection closes."""
        try:
            while True:
                try:
                    self._take(ForwardMsg.FromString(self._connection.recv(timeout=0.2, decode=False)))
                except TimeoutError:
                    self._ask_for_fragments()
        except ConnectionClosed:
            return

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "auto_rerun":
            every = message.auto_rerun.interval
            self._due[message.auto_rerun.fragment_id] = (time.monotonic() + every, every)
        elif kind == "script_finished":
            self.answers += 1
            self._drawn.set()

    def _ask_for_fragments(self) -> None:
        for fragment, (due, every) in list(self._due.items()):
            if time.monotonic() >= due:
                self._ask(ClientState(fragment_id=fragment, is_auto_rerun=True))
                self._due[fragment] = (time.monotonic() + every, every)


@contextmanager
def reading(address: str, count: int) -> Iterator[list[Session]]:
    """So many sessions that have the opening page and keep it up to date.

    Args:
        address: of the dashboard.
        count: sessions.

    Yields:
        The sessions.
    """
    stream = address.replace("http://", "ws://", 1) + "/_stcore/stream"
    sessions = []
    with ExitStack() as open_sessions:
        for _ in range(count):
            connection = connect(
                stream, origin=Origin(address), subprotocols=[Subprotocol("streamlit")], max_size=LARGEST
            )
            open_sessions.callback(connection.close)
            sessions.append(Session(connection))
        yield sessions
