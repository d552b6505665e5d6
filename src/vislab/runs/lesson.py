"""The lesson sheet of a recipe, read from its docstring.

A docstring tells the experiment in its first line and the paragraphs after it. Paragraphs that
begin with one of these words are the lesson:

    Source: where the experiment comes from.
    Question: what to answer before looking.
    Look at: what to look at in the report.
    Exercise: a task with a checkable answer.
    Answer: that answer; a number, or a word or two.
"""

import inspect
import re
from dataclasses import dataclass

MARKS = ("Source", "Question", "Look at", "Exercise", "Answer")


@dataclass(frozen=True)
class Exercise:
    """A task and the answer that checks it."""

    task: str
    answer: str


@dataclass(frozen=True)
class Lesson:
    """What a docstring says, taken apart."""

    title: str
    story: tuple[str, ...]
    source: str
    question: str
    look_at: tuple[str, ...]
    exercises: tuple[Exercise, ...]


def read_lesson(docstring: str) -> Lesson:
    """Take a docstring apart. An exercise without an answer is our own mistake (AssertionError)."""
    text = inspect.cleandoc(docstring)
    starts = "|".join(re.escape(mark) for mark in MARKS)
    paragraphs = [
        " ".join(part.split()) for part in re.split(rf"\n\s*\n|\n(?=(?:{starts}):)", text)
    ]
    marked: dict[str, list[str]] = {mark: [] for mark in MARKS}
    story = []
    for paragraph in paragraphs[1:]:
        mark, colon, rest = paragraph.partition(":")
        if colon and mark in marked:
            marked[mark].append(rest.strip())
        elif paragraph:
            story.append(paragraph)
    tasks, answers = marked["Exercise"], marked["Answer"]
    assert len(tasks) == len(answers), f"{len(tasks)} exercises but {len(answers)} answers"
    return Lesson(
        title=paragraphs[0],
        story=tuple(story),
        source=" ".join(marked["Source"]),
        question=" ".join(marked["Question"]),
        look_at=tuple(marked["Look at"]),
        exercises=tuple(Exercise(t, a) for t, a in zip(tasks, answers, strict=True)),
    )
