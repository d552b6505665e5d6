"""Networks of torchvision, by `torchvision:NAME`."""

from typing import Any

import torchvision
from torch import Tensor, nn

from vislab.errors import DataError, OptionError, pick
from vislab.models.preprocessing import Preprocessing, three

USUAL = 224  # pixels
# These give further answers while training, which none of our tasks reads.
WITH_SIDE_HEADS = ("googlenet", "inception_v3")


def names() -> list[str]:
    """Return torchvision's names for its classification networks."""
    found: list[str] = torchvision.models.list_models(module=torchvision.models)
    return found


def build(name: str, classes: int | None, **options: Any) -> nn.Module:
    """Build a network with fresh weights; `classes=None` keeps ImageNet's thousand."""
    pick(dict.fromkeys(names()), name, "network of torchvision")
    if name in WITH_SIDE_HEADS:
        options = {"aux_logits": False, "init_weights": False, **options}
    if classes is not None:
        options["num_classes"] = classes
    try:
        model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"torchvision cannot build {name!r} with {options}: {error}") from error
    return model


def trained_with(name: str) -> dict[str, Any]:
    """Return the options that a network must be built with for its trained weights to hold."""
    shown = preprocessing(name)
    if name in WITH_SIDE_HEADS:
        return {"transform_input": True}
    if name.startswith("vit_") and shown is not None and shown.size != USUAL:
        return {"image_size": shown.size}
    return {}


def weights(name: str) -> dict[str, Tensor]:
    """Fetch its best ImageNet weights, from torch's cache if they are there.

    Raises DataError when they cannot be fetched, OptionError when there are none.
    """
    best = _best(name)
    if best is None:
        raise OptionError(f"torchvision has no pre-trained weights for {name!r}")
    try:
        found: dict[str, Tensor] = best.get_state_dict(
            progress=False, check_hash=True, weights_only=True
        )
    except Exception as error:  # no connection, or whatever torch raises for a damaged file
        raise DataError(f"the weights of torchvision:{name} cannot be fetched ({error})") from error
    return found


def preprocessing(name: str) -> Preprocessing | None:
    """Return what its best weights were shown; None where there are no weights."""
    best = _best(name)
    if best is None:
        return None
    shown = best.transforms()
    return Preprocessing(int(shown.crop_size[0]), three(shown.mean), three(shown.std))


def _best(name: str) -> Any:
    pick(dict.fromkeys(names()), name, "network of torchvision")
    kinds = torchvision.models.get_model_weights(name)
    return getattr(kinds, "DEFAULT", None)
