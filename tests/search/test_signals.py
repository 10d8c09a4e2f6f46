"""Tests of `kerasweep.search.signals`."""

from __future__ import annotations

import signal

import pytest

from kerasweep.search.cli import main
from kerasweep.search.signals import ENDING, Interrupt, handle, interrupt, restore


def test_a_signal_becomes_an_exception_with_its_exit_code() -> None:
    """A hang-up counts as Ctrl-C; the handlers that were there come back."""
    before = handle(interrupt)
    try:
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 130)):
            with pytest.raises(Interrupt) as raised:
                signal.raise_signal(number)
            assert raised.value.code == code
    finally:
        restore(before)
    assert {number: signal.getsignal(number) for number in ENDING} == before


def test_an_ignored_hang_up_stays_ignored() -> None:
    """As `nohup` wants it."""
    own = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        before = handle(interrupt)
        signal.raise_signal(signal.SIGHUP)
        restore(before)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, own)


def test_the_command_line_leaves_the_handlers_of_its_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is asked."""
    before = {number: signal.getsignal(number) for number in ENDING}
    monkeypatch.setattr("sys.argv", ["kerasweep", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert {number: signal.getsignal(number) for number in ENDING} == before
