"""Networks of torchvision, by `torchvision:NAME`."""

from typing import Any
from urllib.error import URLError

import torchvision
from torch import Tensor, nn

from vislab.errors import DataError, OptionError, pick
from vislab.models.preprocessing import Preprocessing, three

# These give further answers while training, which none of our tasks reads.
WITH_SIDE_HEADS = ("googlenet", "inception_v3")


def names() -> list[str]:
    """Return torchvision's names for its classification networks."""
    found: list[str] = torchvision.models.list_models(module=torchvision.models)
    return found


def build(name: str, classes: int | None, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a network with fresh weights; `classes=None` keeps ImageNet's thousand.

    With `pretrained` only what belongs to the trained weights besides them is set.
    """
    pick(dict.fromkeys(names()), name, "network of torchvision")
    if name in WITH_SIDE_HEADS:
        options = {"aux_logits": False, "init_weights": False, **options}
        if pretrained:
            options["transform_input"] = True
    if classes is not None:
        options["num_classes"] = classes
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def weights(name: str) -> dict[str, Tensor]:
    """Fetch its best ImageNet weights, from torch's cache if they are there.

    Raises DataError when they cannot be fetched, OptionError when there are none.
    """
    best = _best(name)
    if best is None:
        raise OptionError(f"torchvision has no pre-trained weights for {name!r}")
    try:
        found: dict[str, Tensor] = best.get_state_dict(progress=False, check_hash=True)
    except (URLError, OSError, RuntimeError) as error:
        raise DataError(f"the weights of torchvision:{name} cannot be fetched ({error})") from error
    return {name: t for name, t in found.items() if not name.startswith(("aux", "AuxLogits"))}


def preprocessing(name: str) -> Preprocessing | None:
    """Return what its best weights were shown; None where there are no weights."""
    best = _best(name)
    if best is None:
        return None
    shown = best.transforms()
    return Preprocessing(int(shown.crop_size[0]), three(shown.mean), three(shown.std))


def _best(name: str) -> Any:
    kinds = torchvision.models.get_model_weights(name)
    return getattr(kinds, "DEFAULT", None)
