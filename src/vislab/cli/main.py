"""`vislab`: the first word chooses a command; the rest is that command's own."""

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from vislab import __version__
from vislab.errors import VislabError, pick
from vislab.runs.old_names import refuse_old_options
from vislab.runs.terminal import harmless

COMMANDS = {
    "list": "the recipes: what each does and which images it needs",
    "run": "run a recipe: `vislab run resnet-overfit --quick`",
    "sweep": "search a recipe's options: many trials, many workers",
    "twin": "gradients by hand against autograd: do they agree?",
    "compare": "put runs side by side, with intervals",
    "explain": "why a network says what it says of an image, and how far to believe it",
    "predict": "ask a finished run's network about new images",
    "data": "the catalogue of images; check a folder of your own",
    "models": "networks that can be built by name; open one layer by layer",
    "doctor": "what this machine has, and what to mend",
    "tour": "the first thing to run: offline, under three minutes",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 the work failed, 2 wrong use."""
    # Read when torch is first imported. Threads that wait for one another by spinning make
    # training on a machine that is also doing something else over ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"vislab {__version__}")
        return 0
    try:
        pick(COMMANDS, words[0], "command")
        refuse_old_options(words[0], words[1:])
        module = importlib.import_module(f"vislab.cli.{words[0]}_command")
        return int(module.main(words[1:]))
    except VislabError as error:
        if debug:
            raise
        return complain(str(error), error.exit_code)
    except KeyboardInterrupt:
        return complain("stopped by Ctrl-C", 1)
    except BrokenPipeError:  # `vislab list | head` is no failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return complain(
            f"something unforeseen went wrong ({type(error).__name__}: {error}); "
            "run the command again with --debug to see where, and please report it",
            1,
        )


def complain(sentence: str, code: int) -> int:
    """Print one error to standard error and return the exit code."""
    with contextlib.suppress(OSError):  # of a terminal that was closed
        print(f"vislab: {harmless(sentence)}", file=sys.stderr, flush=True)
    return code


def overview() -> str:
    """Return the help of `vislab` itself."""
    lines = [
        "vislab: a laboratory for deep learning on images",
        "",
        "usage: vislab COMMAND [options]",
        "",
    ]
    lines += [f"  {name:<9} {what}" for name, what in COMMANDS.items()]
    lines += [
        "",
        "`vislab COMMAND --help` tells more; `vislab run RECIPE --help` lists a recipe's knobs.",
        "Any command with --debug shows where an error came from.",
        "New here? `vislab tour`.",
    ]
    return "\n".join(lines)
