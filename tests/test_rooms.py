"""Which room may import which, and which commands stay light. A new room needs a place here."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vislab

# Lower floors first. A room may import rooms on lower floors, never beside or above it.
FLOORS = [
    {"errors", "progress"},
    {"ops"},
    {"scratch", "runs", "metrics"},
    {"data", "models", "losses", "explain"},
    {"tasks"},
    {"evaluate", "profiling"},
    {"lab", "inference"},
    {"inspection", "sweep"},
    {"recipes"},
    {"cli"},
    {"__main__"},
]
LEVEL = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
ROOT = Path(vislab.__file__).parent


def imports(source: str, *, at_run_time: bool = True) -> set[str]:
    """Return the rooms that a file imports, those for type checkers aside."""
    tree = ast.parse(source)
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if at_run_time and id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("vislab.")} & set(LEVEL)


def broken(room: str, source: str) -> set[str]:
    return {other for other in imports(source) if other != room and LEVEL[other] >= LEVEL[room]}


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def test_every_room_imports_downwards_only():
    files = [f for f in ROOT.rglob("*.py") if f.parent != ROOT or f.stem != "__init__"]
    assert len(files) > 60
    assert {room_of(file) for file in files} == set(LEVEL)
    wrong = {
        str(file.relative_to(ROOT)): up
        for file in files
        if (up := broken(room_of(file), file.read_text(encoding="utf-8")))
    }
    assert not wrong, f"imports that point sideways or upwards: {wrong}"


@pytest.mark.parametrize(
    ("room", "line", "up"),
    [
        ("models", "from vislab.recipes import find", {"recipes"}),
        ("models", "from vislab import data", {"data"}),
        ("runs", "def f():\n    import vislab.lab.bench", {"lab"}),
        ("tasks", "from vislab.data.batches import Batch", set()),
        ("lab", "if TYPE_CHECKING:\n    from vislab.recipes import find", set()),
    ],
)
def test_a_planted_upward_import_is_seen(room, line, up):
    assert broken(room, line) == up


def file_of(dotted: str, files: set[str]) -> str | None:
    """Return the file that a dotted name lies in, or is."""
    parts = dotted.split(".")[1:]
    for end in range(len(parts), 0, -1):
        for ending in (".py", "/__init__.py"):
            if (file := "/".join(parts[:end]) + ending) in files:
                return file
    return None


def arrows(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return which files each file imports, at run time or for type checkers alone."""
    found: dict[str, set[str]] = {}
    for file, source in sources.items():
        names = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
        there = {file_of(name, set(sources)) for name in names if name.startswith("vislab.")}
        found[file] = {other for other in there if other is not None} - {file}
    return found


def circles(arrows_of: dict[str, set[str]]) -> set[frozenset[str]]:
    """Return the sets of files that lead back to themselves."""
    reached: dict[str, set[str]] = {}
    for start in arrows_of:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = arrows_of[ahead.pop()] - seen
            seen |= new
            ahead += new
        reached[start] = seen
    return {
        frozenset(other for other in seen if start in reached[other])
        for start, seen in reached.items()
        if start in seen
    }


def test_no_files_import_each_other():
    sources = {str(f.relative_to(ROOT)): f.read_text(encoding="utf-8") for f in ROOT.rglob("*.py")}
    found = arrows(sources)
    assert sum(map(len, found.values())) > 1000
    assert not circles(found)


def test_a_planted_circle_is_seen():
    sources = {
        "a/one.py": "from vislab.b.two import f\n",
        "b/two.py": "if TYPE_CHECKING:\n    from vislab.a import three\n",
        "a/three.py": "def f():\n    from vislab.a.one import g\n",
        "a/__init__.py": "",
    }
    assert circles(arrows(sources)) == {frozenset({"a/one.py", "b/two.py", "a/three.py"})}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["list"],
        ["list", "--json"],
        ["run", "resnet-overfit", "--help"],
        ["run", "tour", "--help"],
        ["data", "list"],
        ["data", "list", "cifar10"],
        ["compare", "--help"],
        ["twin", "--help"],
        ["run", "convnet-by-hand", "--help"],
        ["predict", "--help"],
        ["models", "--help"],
        ["run", "finetune", "--help"],
        ["sweep", "--help"],
        ["sweep", "fully-connected", "--help"],
    ],
    ids=" ".join,
)
def test_a_light_command_imports_no_heavy_library(words):
    code = (
        "import sys\n"
        "from vislab.cli.main import main\n"
        "try:\n"
        f"    main({words!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'torchvision', 'lightning', 'matplotlib', 'sklearn', 'scipy'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 100
