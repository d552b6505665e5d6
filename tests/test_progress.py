"""Silence for what is quick, lines for what is piped, a bar for who watches."""

import io
import re
from contextlib import redirect_stderr
from types import SimpleNamespace

import pytest

from vislab import progress
from vislab.progress import track


class Screen(io.StringIO):
    """Standard error, on a terminal or not."""

    def __init__(self, terminal):
        super().__init__()
        self.terminal = terminal

    def isatty(self):
        return self.terminal


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test moves."""
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


@pytest.fixture
def xterm(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def shown(clock, seconds, *, steps, terminal=False, total=None, note="", **options):
    """What stands on standard error after work that takes so long."""
    with (
        redirect_stderr(Screen(terminal)) as screen,
        track("counting sheep", total=total, **options) as advance,
    ):
        for _ in range(steps):
            clock.seconds += seconds / steps
            advance(3, note)
    return screen.getvalue()


either = pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])


@either
def test_what_ends_within_two_seconds_shows_nothing(clock, xterm, terminal):
    assert shown(clock, 1.9, steps=50, total=150, terminal=terminal) == ""


@either
def test_quiet_is_quiet(clock, xterm, terminal):
    assert shown(clock, 100, steps=50, total=150, terminal=terminal, quiet=True) == ""


def test_in_a_pipe_the_first_line_comes_after_two_seconds_and_then_one_in_ten(clock):
    lines = shown(clock, 32, steps=320, total=960, unit="sheep").splitlines()
    told = [re.fullmatch(r"counting sheep: (\d+) of 960 sheep, (\d+) s", line) for line in lines]
    assert [int(line[2]) for line in told] == [2, 12, 22]
    for line in told:
        assert int(line[1]) == pytest.approx(30 * int(line[2]), abs=16)  # 30 a second


def test_a_line_says_how_it_goes_and_knows_no_total_where_there_is_none(clock):
    lines = shown(clock, 5, steps=2, note="accuracy 12.5%")
    assert lines == "counting sheep: 3 steps, 2 s  accuracy 12.5%\n"


def test_lines_hold_no_codes_for_terminals(clock):
    lines = shown(clock, 60, steps=60, total=180)
    assert lines.endswith("\n")
    assert "\x1b" not in lines
    assert "\r" not in lines


def test_on_a_terminal_there_is_a_bar_that_goes_away(clock, xterm):
    with redirect_stderr(Screen(terminal=True)) as screen:
        with track("counting sheep", total=20, unit="sheep") as advance:
            advance(3)
            assert screen.getvalue() == ""
            clock.seconds += 2.5
            advance(4, "one is black")
            for told in ("counting sheep", "━", "7/20", "one is black"):
                assert told in screen.getvalue()
        after = screen.getvalue().rpartition("one is black")[2]
    assert "\x1b[2K" in after  # the line is wiped
    assert "\x1b[?25h" in after  # and the cursor is back


def test_an_error_inside_takes_the_bar_away_and_comes_through(clock, xterm):
    def fail():
        with track("counting", total=5) as advance:
            clock.seconds += 3
            advance(1)
            raise ZeroDivisionError

    with redirect_stderr(Screen(terminal=True)) as screen, pytest.raises(ZeroDivisionError):
        fail()
    assert "\x1b[?25h" in screen.getvalue().rpartition("counting")[2]


@either
def test_nothing_goes_to_standard_output(clock, xterm, capsys, terminal):
    assert shown(clock, 100, steps=50, total=150, terminal=terminal)
    assert capsys.readouterr().out == ""
