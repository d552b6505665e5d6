"""Which networks may be built because a run folder says so: it may come from anywhere.

Building a network is to draw weights and no more. So names that would fetch something or open
another folder are refused, and of a library's options those are taken that say what a network is
like; that timm's `checkpoint_path` opens a file, or that transformers fetches code for some of its
options, is then nobody's concern.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vislab.errors import RunError

# fmt: off
# By the library, whose other options are not taken from a file. Ours take their own parameters.
ALLOWED: dict[str, frozenset[str]] = {
    "timm": frozenset(
        [
            "size", "img_size", "in_chans", "global_pool", "output_stride", "drop_rate",
            "drop_path_rate", "drop_block_rate", "attn_drop_rate", "proj_drop_rate",
            "pos_drop_rate", "patch_drop_rate", "patch_size", "embed_dim", "depth", "depths",
            "dims", "num_heads", "mlp_ratio", "qkv_bias", "init_values", "class_token",
            "no_embed_class", "pos_embed", "fc_norm", "window_size", "base_width", "cardinality",
            "stem_width", "stem_type", "avg_down", "width_mult", "channel_multiplier",
            "depth_multiplier", "kernel_sizes", "ls_init_value", "layers", "channels",
        ]
    ),
    "torchvision": frozenset(
        [
            "aux_logits", "init_weights", "transform_input", "image_size", "dropout",
            "attention_dropout", "stochastic_depth_prob", "width_mult", "groups", "width_per_group",
            "zero_init_residual", "replace_stride_with_dilation", "growth_rate", "bn_size",
            "drop_rate", "layer_scale", "reduced_tail", "memory_efficient",
        ]
    ),
    "hf": frozenset({"config"}),
}
PLAIN_ATTENTION = ("eager", "sdpa")  # that torch has itself
NEVER = frozenset({"pretrained", "weights", "checkpoint_path", "cache_dir"})
# In a configuration of transformers, at any depth: what would be fetched, loaded or run.
ACTING = frozenset(
    [
        "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
        "auto_map", "custom_pipelines", "experts_implementation", "_experts_implementation",
        "trust_remote_code", "quantization_config", "use_pretrained_backbone",
        "use_timm_backbone", "backbone", "backbone_kwargs", "pretrained", "use_kernels",
        "code_revision",
    ]
)
# fmt: on


def require_harmless(built: Mapping[str, Any], where: str) -> None:
    """Raise RunError, naming what is not taken from `where`, a run folder's model.json."""
    name, options = str(built["name"]), built["options"]
    library, _, inside = name.partition(":")
    if inside and library not in ALLOWED:
        raise _refused(where, f"the network {name!r}")
    if _is_folder(name):
        raise RunError(f"{where} is damaged: it names a folder, {name!r}, as its network")
    for option in options:
        allowed = library not in ALLOWED or not inside or option in ALLOWED[library]
        if option in NEVER or not allowed:
            raise _refused(where, f"the option {option!r} of {name}")
    if library == "hf" and inside:
        if not isinstance(options.get("config"), Mapping):
            raise RunError(
                f"{where} has no configuration of {name}, and none is fetched because a run folder "
                "says so"
            )
        acting = sorted(ACTING.intersection(_switched_on(options["config"])))
        if acting:
            raise _refused(where, f"the option {acting[0]!r} of {name}")
    elif any(text.startswith("hf:") or _is_folder(text) for text in _texts(options)):
        raise _refused(where, f"a network inside {name} that would have to be fetched")


SPARE, TIMES = 50_000_000, 4  # values beyond the kept ones, for masks and what is drawn by the way
SPARE_STEPS, STEPS_EACH = 10_000, 30  # allocations beside those of the kept tensors


class _Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count what is allocated and stop a network that is larger than its weights can be."""

    def __init__(self, weights: Mapping[str, Tensor], where: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.values = SPARE + TIMES * sum(tensor.numel() for tensor in weights.values())
        self.steps = SPARE_STEPS + STEPS_EACH * len(weights)
        self.where = where

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        shape = args[0] if args else None
        if isinstance(shape, list | tuple) and all(type(side) is int for side in shape):
            self.values -= prod(shape)
            self.steps -= 1
        if self.values < 0 or self.steps < 0:
            raise RunError(
                f"{self.where} is damaged: it asks for a larger network than its weights are of"
            )
        return func(*args, **(kwargs or {}))


@contextmanager
def no_larger_than(weights: Mapping[str, Tensor], where: str) -> Iterator[None]:
    """Raise RunError, naming `where`, as soon as a network built inside outgrows its weights.

    Before the memory is taken: a file of a few bytes can ask for any width and any depth.
    """
    with _Allocations(weights, where):
        yield


def _refused(where: str, what: str) -> RunError:
    return RunError(
        f"{where} asks for {what}, which is not taken from a run folder; if you trust it, build "
        "the network in Python with models.create and load model.safetensors"
    )


def _is_folder(name: str) -> bool:
    try:
        return ":" not in name and (Path(name) / "model.json").is_file()
    except (OSError, ValueError):  # no name that a folder could have
        return False


def _switched_on(config: Any) -> Iterator[str]:
    """Yield the names in a configuration, at any depth, that are given a value."""
    if isinstance(config, Mapping):
        for name, inner in config.items():
            if inner not in (None, False, *PLAIN_ATTENTION):
                yield str(name)
            yield from _switched_on(inner)
    elif isinstance(config, list):
        for inner in config:
            yield from _switched_on(inner)


def _texts(options: Any) -> Iterator[str]:
    if isinstance(options, str):
        yield options
    elif isinstance(options, Mapping | list | tuple):
        for inner in options.values() if isinstance(options, Mapping) else options:
            yield from _texts(inner)
