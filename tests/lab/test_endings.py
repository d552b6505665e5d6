"""A run that is ended from outside, one that another process is at, and one killed at its end."""

import json
import os
import pty
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vislab.cli.main import main
from vislab.errors import RunError
from vislab.lab import running
from vislab.lab.recipe import Recipe
from vislab.lab.running import Conditions, execute
from vislab.runs import writing
from vislab.runs.folder import RunFolder
from vislab.runs.occupied import is_occupied


@dataclass(frozen=True)
class Waits(Recipe):
    """Find a number, then wait for somebody."""

    seconds: float = 20.0

    def run(self, lab):
        lab.record("found", 0.5)
        (lab.run.path.parent / "underway").touch()
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            time.sleep(0.01)
            lab.say(".")


def forked(work):
    """Do the work in a process of its own and return its id; it ends with what the work returns."""
    child = os.fork()
    if child == 0:
        code = 9
        try:
            code = work()
        except SystemExit as end:
            code = int(end.code)
        except RunError:
            code = 5
        finally:
            os._exit(code)
    return child


def ended(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def until(path, seconds=20.0):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def run_it(folder, **options):
    execute(Waits(**options), "waits", folder, quiet=True)
    return 0


@pytest.fixture
def underway(tmp_path):
    """Return the folder of a run that another process is at, and that process."""
    folder = tmp_path / "run"
    child = forked(lambda: run_it(folder))
    until(tmp_path / "underway")
    yield folder, child
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass  # the test has ended it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_that_says_so_and_can_be_resumed(underway, number):
    folder, child = underway
    os.kill(child, number)
    os.kill(child, number)  # as shells do
    assert ended(child) == 128 + number
    result = json.loads((folder / "result.json").read_text())
    assert (result["status"], result["error"]) == ("interrupted", None)
    assert result["metrics"] == {"found": 0.5}
    assert result["seconds"] > 0, "its end was written down"
    assert "Interrupted" in (folder / "report.html").read_text()
    run = execute(Waits(seconds=0.0), "waits", folder, resume=True, quiet=True)
    assert run.result.status == "finished"


def test_a_signal_that_nohup_ignores_is_ignored(tmp_path):
    def work():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return run_it(tmp_path / "run", seconds=0.4)

    child = forked(work)
    until(tmp_path / "underway")
    os.kill(child, signal.SIGHUP)
    assert ended(child) == 0
    assert RunFolder.open(tmp_path / "run").result.status == "finished"


def test_handlers_are_given_back(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    run_it(tmp_path / "run", seconds=0.0)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)) == before


@pytest.mark.parametrize("hangs_up", [True, False], ids=["SIGHUP", "no signal"])
def test_a_terminal_that_is_closed_ends_a_run_that_can_be_resumed(tmp_path, hangs_up):
    child, terminal = pty.fork()
    if child == 0:
        code, sys.stdout = 9, os.fdopen(1, "w")  # not what the tests capture
        try:
            if not hangs_up:  # as where it was disowned: nothing but what it prints tells it
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            execute(Waits(), "waits", tmp_path / "run", quiet=False)
        except (SystemExit, OSError):
            code = 3
        finally:
            os._exit(code)
    until(tmp_path / "underway")
    os.close(terminal)
    assert ended(child) == 3
    result = RunFolder.open(tmp_path / "run").result
    assert (result.status, result.error) == ("interrupted", None)
    assert result.seconds > 0


def test_a_run_that_is_at_work_is_not_resumed_by_another_process(underway):
    folder, child = underway
    before = (folder / "result.json").read_bytes()
    assert is_occupied(folder)
    with pytest.raises(RunError, match=rf"run is being run by process {child} of .* since .*wait"):
        execute(Waits(), "waits", folder, resume=True, quiet=True)
    assert (folder / "result.json").read_bytes() == before
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert not is_occupied(folder)
    run = execute(Waits(seconds=0.0), "waits", folder, resume=True, quiet=True)
    assert run.result.status == "finished"
    assert not (folder / ".running.json").exists()


def test_a_folder_that_is_no_run_is_not_locked(tmp_path):
    with pytest.raises(RunError, match="is no run folder"):
        execute(Waits(), "waits", tmp_path, resume=True, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_of_processes_that_begin_one_run_at_the_same_moment_exactly_one_does(tmp_path):
    for turn in range(4):
        folder, moment = tmp_path / str(turn), time.time() + 0.1

        def work(folder=folder, moment=moment):
            while time.time() < moment:
                pass
            return run_it(folder, seconds=0.0)

        children = [forked(work) for _ in range(4)]
        assert sorted(ended(child) for child in children) == [0, 5, 5, 5]
        assert RunFolder.open(folder).result.status == "finished"


def test_over_seeds_the_whole_and_each_part_are_held(tmp_path):
    @dataclass(frozen=True)
    class Looks(Recipe):
        """Look who is at work."""

        def run(self, lab):
            parent = is_occupied(lab.run.path.parent)
            lab.record("held", float(is_occupied(lab.run.path) and parent))

    run = execute(Looks(), "looks", tmp_path / "run", Conditions(seeds=2), quiet=True)
    assert run.result.metrics == {"held": 1.0}
    assert not any(map(is_occupied, (run.path, run.path / "seed-0", run.path / "seed-1")))


@pytest.fixture
def killed_at_the_report(tmp_path):
    """Return a run whose process was killed while it wrote its report."""

    def work():
        replace = Path.replace

        def die(self, target):
            if target.name == "report.html":
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(self, target)

        Path.replace = die
        return run_it(tmp_path / "run", seconds=0.0)

    assert ended(forked(work)) == -signal.SIGKILL
    return tmp_path / "run"


def test_killed_while_its_report_is_written_a_run_is_resumed_and_has_one(killed_at_the_report):
    folder = killed_at_the_report
    assert RunFolder.open(folder).result.status == "interrupted"
    assert not (folder / "report.html").exists()
    execute(Waits(seconds=0.0), "waits", folder, resume=True, quiet=True)
    assert RunFolder.open(folder).result.status == "finished"
    assert "Finished" in (folder / "report.html").read_text()
    assert not list(folder.glob(".*.part"))


def test_a_disk_that_is_full_at_the_end_leaves_a_run_that_is_not_finished(tmp_path, monkeypatch):
    def full(run):
        raise RunError("the disk is full")

    monkeypatch.setattr(running, "write_report", full)
    with pytest.raises(RunError, match="the disk is full"):
        run_it(tmp_path / "run", seconds=0.0)
    assert RunFolder.open(tmp_path / "run").result.status == "interrupted"


def test_resume_writes_the_report_that_a_finished_run_lacks(tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom vislab.lab.recipe import Recipe\n\n\n"
        "@dataclass(frozen=True)\nclass Mine(Recipe):\n    '''Find a number.'''\n\n"
        "    def run(self, lab):\n        lab.record('found', 0.5)\n"
    )
    folder = tmp_path / "run"
    assert main(["run", str(file), "--folder", str(folder)]) == 0
    words = ["run", str(file), "--resume", str(folder)]
    assert main(words) == 0
    assert "this run is finished already" in capsys.readouterr().out
    (folder / "report.html").unlink()
    assert main(words) == 0
    assert "was finished, but for its report; that is written now" in capsys.readouterr().out
    assert "Finished" in (folder / "report.html").read_text()


def test_the_reader_of_a_pipe_that_goes_away_interrupts_a_run(tmp_path, monkeypatch):
    def gone(self, text):
        raise BrokenPipeError

    monkeypatch.setattr("vislab.runs.notebook.Notebook.say", gone)
    with pytest.raises(BrokenPipeError):
        execute(Waits(), "waits", tmp_path / "run")
    result = RunFolder.open(tmp_path / "run").result
    assert (result.status, result.error) == ("interrupted", None)


def test_a_new_file_is_written_by_one_alone_also_where_no_file_has_two_names(tmp_path, monkeypatch):
    assert writing.write_new(tmp_path / "a", b"first")
    assert not writing.write_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"

    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(writing.os, "link", no_links)
    assert writing.write_new(tmp_path / "b", b"first")
    assert not writing.write_new(tmp_path / "b", b"second")
    assert (tmp_path / "b").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
