"""What a check of images found, as sentences, as JSON and as a page for the terminal."""

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from vislab.data.checks.annotation_page import annotated_page
from vislab.data.listing import SPLITS

SHOWN = 5  # examples under an issue, on the terminal


def printable(text: str) -> str:
    """Replace what a terminal would act on, or what no encoding can write, by a mark."""
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


@dataclass(frozen=True)
class Issue:
    """What is wrong and what to do about it, in a sentence, and each place where it is so."""

    sentence: str
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Issues:
    """What a check found. With anything in `spoils`, a score on these images means little."""

    name: str
    facts: dict[str, Any]
    spoiling: tuple[Issue, ...]
    doubtful: tuple[Issue, ...]

    @property
    def spoils(self) -> tuple[str, ...]:
        """What would spoil a result: one sentence each."""
        return tuple(issue.sentence for issue in self.spoiling)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at: one sentence each."""
        return tuple(issue.sentence for issue in self.doubtful)

    def as_json(self) -> dict[str, Any]:
        """Return everything that was found, every place included."""

        def plain(issues: tuple[Issue, ...]) -> list[dict[str, Any]]:
            return [{"sentence": p.sentence, "places": list(p.places)} for p in issues]

        return {
            "name": self.name,
            "facts": self.facts,
            "spoils": plain(self.spoiling),
            "warnings": plain(self.doubtful),
        }

    def lines(self) -> list[str]:
        """Return a page for the terminal: the counts, the facts, then the issues."""
        if "form" in self.facts:
            out = annotated_page(self.name, self.facts)
        else:
            out = [
                *_heading(self.name, self.facts),
                "",
                *_table(self.facts),
                "",
                *_measures(self.facts),
            ]
        for title, issues in (("spoils", self.spoiling), ("warning", self.doubtful)):
            for issue in issues:
                out += ["", f"{title}: {issue.sentence}"]
                out += [f"    {place}" for place in issue.places[:SHOWN]]
                if len(issue.places) > SHOWN:
                    out.append(f"    … and {len(issue.places) - SHOWN} more")
        if not self.spoiling:
            out += ["", "nothing found that would spoil a result"]
        return out


def _heading(name: str, facts: dict[str, Any]) -> list[str]:
    split = "came with the images" if facts["official_split"] else "was drawn by vislab"
    k = len(facts["classes"])
    classes = f"{k} class" if k == 1 else f"{k} classes"
    return [f"{name}: {facts['images']} images, {classes}; the split {split}"]


def _table(facts: dict[str, Any]) -> list[str]:
    """Count images by class and split; of over 30 classes only the largest and smallest."""
    rows = [(name, *counts.values()) for name, counts in facts["classes"].items()]
    ranked = sorted(rows, key=lambda row: -sum(row[1:]))
    left_out = len(rows) - 20 if len(rows) > 30 else 0
    shown = [*ranked[:10], *ranked[-10:]] if left_out else rows
    shown += [("all", *facts["splits"].values())]
    wide = max(cell_len(str(row[0])) for row in [("class",), *shown])
    out = [f"{'class':<{wide}}" + "".join(f"{split:>8}" for split in SPLITS)]
    for name, *counts in shown:
        padding = " " * (wide - cell_len(str(name)))
        out.append(f"{name}{padding}" + "".join(f"{count:>8}" for count in counts))
    if left_out:
        out.insert(11, f"… {left_out} classes between these …")
    return out


def _measures(facts: dict[str, Any]) -> list[str]:
    balance = "the classes are of one size"
    if facts["largest_to_smallest"] > 1:
        balance = (
            f"{facts['largest_to_smallest']:.3g} : 1, largest {facts['largest_class']!r}, smallest "
            f"{facts['smallest_class']!r}"
        )
    guess = f"always saying the same class is right for {100 * facts['majority_share']:.1f} %"
    rows = [("balance", f"{balance}; {guess}")]
    for key in ("width", "height", "width_to_height"):
        if key in facts:
            low, middle, high = (f"{value:.4g}" for value in facts[key].values())
            rows.append((key.replace("_", " "), f"{low} to {high}, median {middle}"))
    if facts.get("formats"):
        rows.append(("formats", ", ".join(f"{n} {name}" for name, n in facts["formats"].items())))
    kinds = [f"{n} {name}" for name, n in facts.get("kinds", {}).items() if n]
    if facts["flat"]:
        kinds.append(f"{facts['flat']} of nearly one colour (not compared with others)")
    if kinds:
        rows.append(("of these", ", ".join(kinds)))
    if "groups" in facts:
        rows.append(("groups", str(facts["groups"])))
    return [f"{name:<16}{text}" for name, text in rows]
