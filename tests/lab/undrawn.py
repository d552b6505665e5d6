"""Runs without the drawing, which takes most of the time of a small one and has its own tests."""

from vislab.lab.bench import Lab


def draw_nothing(monkeypatch):
    """Let figures be made but not painted, and leave the report out."""
    monkeypatch.setattr(Lab, "show", lambda *_args, **_named: None)
    monkeypatch.setattr("vislab.lab.running.write_report", lambda _run: None)
