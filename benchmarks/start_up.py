"""How long the command takes to answer. `python benchmarks/start_up.py OUT.json`"""

import subprocess
import sys

from timing import quartiles_ms, write

COMMANDS = {
    "vislab --help": ["--help"],
    "vislab list": ["list"],
    "vislab data list": ["data", "list"],
    "vislab run resnet-overfit --help": ["run", "resnet-overfit", "--help"],
}


def call(words):
    subprocess.run([sys.executable, "-m", "vislab", *words], check=True, capture_output=True)


if __name__ == "__main__":
    times = quartiles_ms({k: lambda w=w: call(w) for k, w in COMMANDS.items()}, repeats=5)
    write("start-up", [{"case": name, **taken} for name, taken in times.items()])
