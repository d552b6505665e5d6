"""`vislab models`: what can be built by name, how large it is, and what is inside."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vislab.errors import OptionError
from vislab.profiling import zoo
from vislab.profiling.zoo import Card, Count

if TYPE_CHECKING:
    from vislab.profiling.layers import Layer
    from vislab.profiling.receptive_field import Size

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def main(words: Sequence[str]) -> int:
    """List networks or open one."""
    tyro.cli(show, args=list(words), prog="vislab models")
    return 0


def show(
    name: Annotated[str, tyro.conf.Positional] = "",
    layers: Flag = False,
    as_json: Annotated[Flag, tyro.conf.arg(name="json")] = False,
    sort: Literal["name", "parameters", "macs"] = "name",
    size: int | None = None,
) -> None:
    """List the networks that can be built by name, or open one.

    Without a name: vislab's own and torchvision's. A pattern lists those that match it, timm's
    too: `vislab models 'timm:*vit*'`. An exact name tells about one, with --layers call by call.

    Args:
        name: A network, or a pattern such as '*resnet*' in quotes.
        layers: List each layer of one network, in the order in which they are done.
        as_json: Print JSON, with exact numbers.
        sort: The order of the list; the largest come last.
        size: Side of the image in pixels; without it, what each network was made for.
    """
    if size is not None and size < 1:
        raise OptionError(f"--size {size} is no image; use 1 or more")
    several = not name or any(letter in name for letter in "*?[")
    if layers and several:
        raise OptionError("--layers opens one network; name it: `vislab models resnet18 --layers`")
    if several:
        counts = ordered(zoo.listing(name, size=size), sort)
        say(as_json, [asdict(one) for one in counts], list_of(counts))
    elif layers:
        used, rows = zoo.open_layers(name, size)
        content = {"name": name, "size": used, "layers": [asdict(row) for row in rows]}
        say(as_json, content, table_of(rows, used))
    else:
        found = zoo.card(name, size)
        say(as_json, asdict(found), card_of(found))


def say(as_json: bool, content: Any, lines: Sequence[str]) -> None:
    """Print the one or the other."""
    print(json.dumps(content, indent=2, ensure_ascii=False) if as_json else "\n".join(lines))


def ordered(counts: Sequence[Count], by: str) -> list[Count]:
    """Put the largest last, and behind them what is unknown; names stay as they come."""
    if by == "name":
        return list(counts)
    value = {one: getattr(one, by) for one in counts}
    return sorted(counts, key=lambda one: (value[one] is None, value[one] or 0))


def list_of(counts: Sequence[Count]) -> list[str]:
    """Write one network a line."""
    from vislab.runs.formatting import amount

    def known(value: int | None) -> str:
        return "unknown" if value is None else amount(value)

    rows: list[Sequence[str]] = [("network", "parameters", "MACs", "image")]
    for one in counts:
        rows.append((one.name, known(one.parameters), known(one.macs), square(one.size)))
    return [
        *aligned(rows, left=1),
        "",
        "MACs: multiply-adds for one image, of convolutions and matrix products. Counted with",
        f"{zoo.CLASSES} classes for vislab's own, as many as they were made for for the others.",
        "`vislab models NAME` times one here, `vislab models NAME --layers` opens it;",
        "`vislab models 'timm:*vit*'` lists others.",
    ]


def table_of(rows: "Sequence[Layer]", size: int) -> list[str]:
    """Write one call a line, and the sums."""
    from vislab.runs.formatting import MISSING, amount

    lines: list[Sequence[str]] = [("layer", "kind", "gives", "parameters", "MACs", "sees")]
    for row in rows:
        kind = f"{row.kind}, again" if row.again else row.kind
        gives = MISSING if row.output is None else "×".join(map(str, row.output))
        counted = (amount(n) if n else "" for n in (row.parameters, row.macs))
        lines.append((row.name or "(itself)", kind, gives, *counted, sight(row.sees)))
    total = (amount(sum(row.parameters for row in rows)), amount(sum(row.macs for row in rows)))
    lines.append(("total", "", "", *total, ""))
    return [
        *aligned(lines, left=2),
        "",
        f"For one image of {square(size)}. Sees: how many pixels one place of what a layer",
        "gives depends on, rows × columns, counted on beyond the image's edge; all of them",
        f"behind what is global; {MISSING} where it cannot be followed.",
    ]


def card_of(card: Card) -> list[str]:
    """Write what is known of one network."""
    from vislab.runs.formatting import amount, number

    rows = [
        ("parameters", f"{amount(card.parameters)} ({number(card.parameters)})"),
        ("MACs", f"{amount(card.macs)} ({number(card.macs)}) for one image"),
        ("image", square(card.size)),
        ("layers", f"{card.layers} calls, {card.multiplying} of which multiply"),
    ]
    for images, times in card.latency_ms.items():
        name = "latency" if images == "1" else f"{images} images"
        told = "not timed, a pass would take long"
        if times is not None:
            rate = 1e3 * int(images) / times["median"]
            told = (
                f"{number(times['median'])} ms, 95 % below {number(times['p95'])} ms: "
                f"{number(rate)} images a second"
            )
        rows.append((name, f"{told} ({card.device})"))
    return [
        card.name,
        *(f"  {line}" for line in aligned(rows, left=2)),
        "",
        f"`vislab models {card.name} --layers` opens it layer by layer.",
    ]


def square(size: int | None) -> str:
    """Write the size of an image."""
    return "unknown" if size is None else f"{size}×{size}"


def sight(sees: "Size") -> str:
    """Write how many pixels a place sees."""
    from vislab.runs.formatting import MISSING

    if sees is None or sees == "all":
        return sees or MISSING
    return "×".join(map(str, sees))


def aligned(rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    """Set rows in columns: the first `left` to the left, the others to the right."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, wide, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
