"""Networks of timm, by `timm:NAME`; a tag after a dot chooses the weights, as timm has it."""

import contextlib
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from vislab.errors import DataError, OptionError, pick
from vislab.models.hub import reaching_the_hub
from vislab.models.preprocessing import Preprocessing, three


def names() -> list[str]:
    """Return timm's names, without tags."""
    import timm

    found: list[str] = timm.list_models()
    return found


def build(name: str, classes: int | None, *, size: int | None = None, **options: Any) -> nn.Module:
    """Build a network with fresh weights; `classes=None` keeps those it was made for.

    `size` is told to networks that take images of one size only, such as vision transformers.
    """
    import timm

    pick(dict.fromkeys(timm.list_models()), name.partition(".")[0], "network of timm")
    if classes is not None:
        options["num_classes"] = classes
    try:
        options |= _told(name, size)
        model: nn.Module = timm.create_model(name, pretrained=False, **options)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise OptionError(f"timm cannot build {name!r} with {options}: {error}") from error
    return model


def _told(name: str, size: int | None) -> dict[str, int]:
    import timm

    known = timm.get_pretrained_cfg(name)
    fixed = known is not None and known.fixed_input_size
    return {"img_size": size} if fixed and size is not None else {}


def weights(name: str, *, size: int | None = None, **options: Any) -> dict[str, Tensor]:
    """Fetch its pre-trained weights, from the hub's cache if they are there.

    Raises DataError when they cannot be fetched, OptionError when there are none.
    """
    import timm

    with contextlib.suppress(RuntimeError):  # timm's word for a tag that it does not know
        known = timm.get_pretrained_cfg(name)
        if known is None or not known.has_weights:
            raise OptionError(f"timm has no pre-trained weights for {name!r}")
    try:
        with reaching_the_hub():
            # timm itself stretches position embeddings to another size.
            options |= _told(name, size)
            return dict(timm.create_model(name, pretrained=True, **options).state_dict())
    except (OSError, RuntimeError, SafetensorError) as error:
        raise DataError(f"the weights of timm:{name} cannot be fetched ({error})") from error


def preprocessing(name: str) -> Preprocessing | None:
    """Return what its weights were shown; None where there are no weights."""
    import timm

    pick(dict.fromkeys(timm.list_models()), name.partition(".")[0], "network of timm")
    try:
        shown = timm.get_pretrained_cfg(name)
    except RuntimeError as error:  # timm's word for a tag that it does not know
        raise OptionError(f"timm has no weights {name!r}: {error}") from error
    if shown is None:
        return None
    size = getattr(shown, "input_size", (3, 224, 224))[-1]
    return Preprocessing(int(size), three(shown.mean), three(shown.std))
