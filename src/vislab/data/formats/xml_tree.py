"""XML from anybody: elements, attributes and text, and nothing that could name something else.

A document type is refused in whatever encoding it comes, and with it every entity: those that grow
without bound and those that read other files.
"""

from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from vislab.errors import DataError

LARGEST = 1 << 26  # bytes
DEEPEST = 100  # elements in one another


def parse_xml(content: bytes) -> Element:
    """Return the root element. Raises DataError, with the reason alone."""
    if len(content) > LARGEST:
        raise DataError("it has over 64 MB")
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise DataError(f"it has over {DEEPEST} elements in one another")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*told: object) -> NoReturn:
        raise DataError("it declares a document type or an entity, which is refused")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except expat.ExpatError as error:
        raise DataError(f"it is no valid XML: {error}") from error
    except (LookupError, ValueError, AssertionError) as error:
        raise DataError(f"it is no XML that can be read: {error}") from error
