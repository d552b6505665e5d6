"""`vislab data`: the catalogue of images; checking and converting a folder."""

import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from vislab.data import catalogue
from vislab.errors import pick

if TYPE_CHECKING:
    from vislab.data.checks.issues import Issues

USAGE = """usage: vislab data list [--json]           the catalogue
       vislab data list NAME               one card
       vislab data get NAME                download, verify, unpack
       vislab data check NAME-OR-PATH      look for what would spoil a result
       vislab data convert FROM INTO --to coco|voc|yolo|masks"""

Json = Annotated[bool, tyro.conf.arg(name="json"), tyro.conf.FlagCreatePairsOff]


def main(words: Sequence[str]) -> int:
    """Run one of the four."""
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if words else 2
    parts: dict[str, Callable[..., int]] = {
        "list": list_sets,
        "get": get_set,
        "check": check_set,
        "convert": convert_set,
    }
    part = pick(parts, words[0], "command of `vislab data`")
    return tyro.cli(part, args=list(words[1:]), prog=f"vislab data {words[0]}")


def list_sets(name: Annotated[str, tyro.conf.Positional] = "", as_json: Json = False) -> int:
    """List the data sets, or tell all about one.

    Args:
        name: A set to tell all about.
        as_json: Print JSON.
    """
    cards = [catalogue.card(n) for n in ([name] if name else catalogue.names())]
    if as_json:
        print(json.dumps([brief(card) for card in cards], indent=2, ensure_ascii=False))
    elif name:
        print(whole(cards[0]))
    else:
        width = max(len(card.name) for card in cards)
        for card in cards:
            counts = sum(card.splits.values())
            state = "here" if catalogue.is_here(card.name) else size_of(card)
            print(
                f"{card.name:<{width}}  {counts:>9,} images  {card.classes:>5} classes  "
                f"{card.size:<16} {state:<20} {card.title}"
            )
        print("\n`vislab data list NAME` tells what is hard about a set and where it comes from.")
    return 0


def size_of(card: catalogue.Card) -> str:
    """Say how much there is to download."""
    if card.manual:
        return "by hand"
    size = card.download_bytes
    return f"download {size / 1e6:,.0f} MB" if size else "download"


def brief(card: catalogue.Card) -> dict[str, object]:
    """Return a card as JSON."""
    return {
        "name": card.name,
        "title": card.title,
        "classes": card.classes,
        "splits": dict(card.splits),
        "size": card.size,
        "chance": card.chance,
        "majority": card.majority,
        "here": catalogue.is_here(card.name),
        "download_bytes": card.download_bytes,
        "terms": card.terms,
    }


def whole(card: catalogue.Card) -> str:
    """Return a card as paragraphs."""
    folder = catalogue.folder(card.name)
    splits = ", ".join(f"{count:,} {split}" for split, count in card.splits.items())
    facts = [
        ("images", f"{splits}; {card.size}; {card.classes} classes"),
        ("split", card.split_note),
        ("chance", "" if card.chance is None else f"{card.chance:.1%}"),
        ("majority", "" if card.majority is None else f"{card.majority:.1%}"),
        ("expect", card.expect),
        ("owner", f"{card.owner}, {card.year}"),
        ("terms", card.terms),
        ("paper", card.paper),
        ("homepage", card.homepage),
        ("note", card.note),
        ("checksums", card.checksum_note),
        ("by hand", card.manual),
        ("here", "yes" if catalogue.is_here(card.name) else f"no; it would lie in {folder}"),
    ]
    lines = [card.title, "", *textwrap.wrap(card.what, 92), ""]
    for name, text in facts:
        if text:
            lines += textwrap.wrap(
                f"{name + ':':<11}{text}", 92, subsequent_indent=" " * 11, break_on_hyphens=False
            )
    for file in card.files:
        lines += ["", f"{'file:':<11}{file.name}"]
        lines += [f"{'':<11}{url}" for url in file.urls]
        if file.sha256:
            lines.append(f"{'':<11}SHA-256 {file.sha256}")
        elif file.md5:
            lines.append(f"{'':<11}MD5 {file.md5}")
    return "\n".join(lines)


def get_set(name: Annotated[str, tyro.conf.Positional]) -> int:
    """Download a set, verify it and unpack it; what is here already is not fetched again.

    Args:
        name: A set of the catalogue.
    """
    from vislab.data.get import get

    card = catalogue.card(name)
    if card.offline:
        print(f"{name} comes with vislab; there is nothing to download")
        return 0
    print(f"{name} is in {get(name)}")
    return 0


def check_set(
    where: Annotated[str, tyro.conf.Positional],
    sheet: Path = Path("contact-sheet.png"),
    labels: str | None = None,
    as_json: Json = False,
) -> int:
    """Look through images for what would spoil a result; exit code 1 when something would.

    Counts, class balance, sizes, unreadable files, exact and near duplicates, images that stand
    in both train and test, labels without images and images without labels. In annotated
    images (COCO, VOC, YOLO, masks; recognised by looking) also boxes and masks.

    Args:
        where: A folder, a zip or a set of the catalogue.
        sheet: Where the contact sheet is written.
        labels: Columns of a CSV that hold paths and labels, and perhaps split and group, as
            `image_id,dx`; or `folders`, to take the folders' names whatever tables say.
        as_json: Print JSON.
    """
    from vislab.data.formats import recognise

    path = Path(where).expanduser()
    own = where not in catalogue.names() and path.exists()
    annotated = own and labels is None and recognise(path) is not None
    issues = _check_annotated(path, sheet) if annotated else _check_labelled(where, sheet, labels)
    if as_json:
        print(json.dumps(issues.as_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(issues.lines()))
        print(f"\ncontact sheet: {sheet}")
    return 1 if issues.spoils else 0


def _check_labelled(where: str, sheet: Path, labels: str | None) -> "Issues":
    from vislab.data.checks.contact_sheet import contact_sheet
    from vislab.data.checks.images import check
    from vislab.data.sources import open_source
    from vislab.runs.writing import replacing

    source, _ = open_source(where, labels=labels)
    issues = check(source)
    with replacing(sheet) as file:
        contact_sheet(source).save(file, format="PNG")
    return issues


def _check_annotated(path: Path, sheet: Path) -> "Issues":
    from vislab.data.checks.annotation_sheet import annotation_sheet
    from vislab.data.checks.annotations import check_annotated
    from vislab.data.formats import read_annotated
    from vislab.runs.writing import replacing

    annotated = read_annotated(path)
    issues = check_annotated(annotated)
    with replacing(sheet) as file:
        annotation_sheet(annotated).save(file, format="PNG")
    return issues


def convert_set(
    source: Annotated[Path, tyro.conf.arg(metavar="FROM"), tyro.conf.Positional],
    into: Annotated[Path, tyro.conf.arg(metavar="INTO"), tyro.conf.Positional],
    to: Literal["coco", "voc", "yolo", "masks"],
    skip_bad: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False,
) -> int:
    """Write annotated images anew in another form, which a folder of its own will hold.

    The form they are in is recognised by looking. The images are copied as they are, and the
    split goes with them. What the new form has no place for is said.

    Args:
        source: A folder or a zip of annotated images.
        into: A new folder.
        to: The form to write.
        skip_bad: Leave out images with annotations that cannot be used, rather than stop.
    """
    from vislab.data.annotations import require_sound
    from vislab.data.formats import read_annotated, write_annotated

    annotated = require_sound(read_annotated(source.expanduser()), skip_bad=skip_bad)
    given_up = write_annotated(annotated, into.expanduser(), to)
    for note in annotated.notes:
        print(f"note: {note}")
    for text in given_up:
        print(f"note: {text}")
    splits = ", ".join(
        f"{len(annotated.rows(split))} {split}"
        for split in ("train", "val", "test")
        if len(annotated.rows(split))
    )
    print(f"{len(annotated)} images ({splits}), {annotated.form} to {to}: {into}")
    return 0
