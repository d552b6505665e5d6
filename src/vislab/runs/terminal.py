"""Text as a terminal may be given it: names of files and classes may hold what it would act on."""

import re

# Control characters but for tab and newline, marks that turn the direction of writing, and halves
# of surrogate pairs, which stand for the bytes of a file name that are no text.
ACTING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def harmless(text: str) -> str:
    """Return the text with everything that a terminal acts on written out, as \\x1b."""
    return ACTING.sub(lambda found: ascii(found.group())[1:-1], text)
