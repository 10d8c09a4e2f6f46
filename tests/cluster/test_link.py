"""Tests of `kerasweep.cluster.link`."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given

from kerasweep.cluster.link import Link, LinkClosed, check_peer, listen
from kerasweep.spaces.errors import Infrastructure

from ..strategies import plain_by_name

Pair = tuple[Link, Link]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Return the two ends of a link."""
    ends = make_pair()
    yield ends
    for end in ends:
        end.close()


def make_pair() -> Pair:
    """Return the two ends of a link."""
    here, there = socket.socketpair()
    return Link(here), Link(there)


@given(plain_by_name)
def test_messages_arrive_as_they_were_sent(message: dict[str, object]) -> None:
    """Any JSON goes through, whatever text is in it, in both directions."""
    here, there = make_pair()
    try:
        here.send(message)
        there.send(message)
        assert there.receive(1.0) == here.receive(1.0) == message
    finally:
        here.close()
        there.close()


def test_messages_keep_their_order(pair: Pair) -> None:
    """What was sent first is received first."""
    here, there = pair
    for number in range(100):
        here.send({"number": number})
    assert [there.receive(1.0) for _ in range(100)] == [{"number": number} for number in range(100)]


def test_nothing_in_time_is_none(pair: Pair) -> None:
    """Waiting has an end; zero only looks."""
    assert pair[0].receive(0.0) is None
    assert pair[0].receive(0.01) is None


def test_a_closed_end_is_heard_after_what_was_sent(pair: Pair) -> None:
    """What the other end said before it went away still arrives."""
    here, there = pair
    here.send({"last": "words"})
    here.close()
    assert there.receive(1.0) == {"last": "words"}
    with pytest.raises(LinkClosed):
        there.receive(1.0)


def test_sending_to_a_closed_end_raises(pair: Pair) -> None:
    """The one exception for a peer that is gone, also on the way out."""
    here, there = pair
    there.close()
    with pytest.raises(LinkClosed):
        here.send({"type": "stop"})


def test_a_peer_that_dies_in_mid_message_is_a_closed_link(pair: Pair) -> None:
    """Half a message is no message."""
    here, there = pair
    os.write(here.fileno(), b"\0\0\1\0half of")
    here.close()
    with pytest.raises(LinkClosed):
        there.receive(1.0)


def test_threads_may_send_at_once(pair: Pair) -> None:
    """Messages of several threads, longer than a socket's buffer, do not mix."""
    here, there = pair
    texts = [str(number) * 300_000 for number in range(4)]
    threads = [threading.Thread(target=here.send, args=({"text": text},)) for text in texts]
    for thread in threads:
        thread.start()
    received = [there.receive(10.0) for _ in texts]
    for thread in threads:
        thread.join()
    assert sorted(str(one["text"]) for one in received if one is not None) == texts


def test_a_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else may connect, and each end knows the other's process."""
    path = tmp_path / "one.sock"
    with listen(path) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        here = Link.connect(path)
        there, _ = listener.accept()
        with there:
            assert check_peer(there) == os.getpid()
        here.close()


def test_a_process_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who is at the other end."""
    here, there = socket.socketpair()
    monkeypatch.setattr("os.getuid", lambda: os.geteuid() + 1)
    with here, there, pytest.raises(Infrastructure, match="another user"):
        Link(here)


def test_nobody_listening_is_an_os_error(tmp_path: Path) -> None:
    """A socket that is not there can be told from one that closed."""
    with pytest.raises(FileNotFoundError):
        Link.connect(tmp_path / "none.sock")
