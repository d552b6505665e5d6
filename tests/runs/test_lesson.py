import pytest

from vislab.runs.lesson import Exercise, read_lesson

TEXT = """Overfit a network, then
    look at it.

    The story: it has a colon
    and two lines.

    More of it.

    Source: GNR-650,
    assignment 1.
    Question: How many are right?

    Look at: the curves.
    Look at: the kernels: edges?
    Exercise: How many weights?
    Answer: 1728
    Exercise: Which class?
    Answer: dog
    """


def test_a_docstring_is_taken_apart():
    lesson = read_lesson(TEXT)
    assert lesson.title == "Overfit a network, then look at it."
    assert lesson.story == ("The story: it has a colon and two lines.", "More of it.")
    assert lesson.source == "GNR-650, assignment 1."
    assert lesson.question == "How many are right?"
    assert lesson.look_at == ("the curves.", "the kernels: edges?")
    assert lesson.exercises == (
        Exercise("How many weights?", "1728"),
        Exercise("Which class?", "dog"),
    )


def test_a_docstring_without_marks_is_a_title_and_a_story():
    lesson = read_lesson("Title.\n\nStory.")
    assert (lesson.title, lesson.story, lesson.question) == ("Title.", ("Story.",), "")
    assert lesson.exercises == ()
    assert read_lesson("").title == ""


def test_an_exercise_without_an_answer_is_our_mistake():
    with pytest.raises(AssertionError, match="1 exercises but 0 answers"):
        read_lesson("Title.\n\nExercise: How many?")
