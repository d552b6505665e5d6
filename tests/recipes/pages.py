"""Which statements of a recipe tell its experiment, which draw and phrase, and which are plumbing.

`python tests/recipes/pages.py` prints a line for each recipe.

Of a recipe's own methods and functions each statement counts once, an `if` or a `for` with its
head. It *tells* when it opens images, builds a network or a task, trains, tests, compares,
explains, records, keeps or refuses; it *draws* when it makes a figure, a table, a note or a line.
All else is plumbing: it carries values from one to another.
"""

import ast
from pathlib import Path

import vislab.recipes

TELLING_OF_LAB = {
    "annotated", "create_model", "dry_run", "example", "fit", "keep", "once", "open", "images",
    "plan", "record", "solve", "test", "variant", "variants", "why",
}  # fmt: skip
TELLING_OF_VARIANTS = {"compare", "conclude", "costs", "gain", "gain_over", "keep"}
ROOMS = {"data", "evaluate", "explain", "inference", "losses", "metrics", "models", "scratch",
         "tasks", "views", "painted_views"}  # fmt: skip
TELLING_FILES = ("vislab.inspection", "vislab.evaluate", "vislab.profiling", "vislab.scratch",
                 "vislab.tasks", "vislab.explain", "vislab.models", "vislab.lab.grid_search",
                 "vislab.lab.captioning", "vislab.lab.twin")  # fmt: skip
DRAWING = {"show", "table", "note", "say"}
RULES = {"Optim", "Augment", "Strategy", "Plan"}  # what a training is told to do


def statements(tree: ast.AST) -> list[ast.stmt]:
    """Return every statement inside functions, docstrings and imports aside."""
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.stmt) or node is function:
                continue
            if isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom | ast.Pass):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            found.append(node)
    return list(dict.fromkeys(found))


def own(node: ast.stmt) -> list[ast.AST]:
    """Return what belongs to a statement itself: of an `if` its test, not what it holds."""
    inner = {
        id(one)
        for field in ("body", "orelse", "finalbody", "handlers")
        for part in getattr(node, field, [])
        for one in ast.walk(part)
    }
    return [one for one in ast.walk(node) if id(one) not in inner]


def imported(tree: ast.AST) -> set[str]:
    """Return the names that a recipe imports from files whose functions tell."""
    return {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(TELLING_FILES)
        for alias in node.names
    }


def kind_of(node: ast.stmt, telling_names: set[str]) -> str:
    """Return "tells", "draws" or "plumbing"."""
    if isinstance(node, ast.Raise):
        return "tells"
    kinds = set()
    for call in (one for one in own(node) if isinstance(one, ast.Call)):
        target = call.func
        if isinstance(target, ast.Attribute):
            owner, name = ast.unparse(target.value), target.attr
            of_lab, first = owner == "lab", owner.split(".")[0]
            if (of_lab and name in DRAWING) or owner.startswith("runs.figures"):
                kinds.add("draws")
            elif (
                (of_lab and name in TELLING_OF_LAB)
                or name in TELLING_OF_VARIANTS
                or first in ROOMS | telling_names | RULES | {"self"}
            ):
                kinds.add("tells")
        elif isinstance(target, ast.Name) and target.id in telling_names | RULES:
            kinds.add("tells")
    return "draws" if "draws" in kinds else "tells" if kinds else "plumbing"


def counts(source: str) -> dict[str, int]:
    """Return how many statements of each kind a recipe's file has."""
    tree = ast.parse(source)
    names = imported(tree)
    found = {"tells": 0, "draws": 0, "plumbing": 0}
    for node in statements(tree):
        found[kind_of(node, names)] += 1
    return found


def files() -> list[Path]:
    """Return the recipes' files."""
    folder = Path(vislab.recipes.__file__).parent
    return sorted(file for file in folder.glob("*.py") if file.stem != "__init__")


if __name__ == "__main__":
    total = {"tells": 0, "draws": 0, "plumbing": 0}
    for file in files():
        one = counts(file.read_text(encoding="utf-8"))
        lines = len(file.read_text(encoding="utf-8").splitlines())
        share = one["tells"] / max(sum(one.values()), 1)
        print(f"{file.stem:<22}{lines:>5} lines  {share:>4.0%} tells  {one}")
        total = {kind: total[kind] + one[kind] for kind in total}
    print({kind: f"{count / sum(total.values()):.0%}" for kind, count in total.items()})
