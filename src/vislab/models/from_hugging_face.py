"""Image classifiers of Hugging Face, by `hf:OWNER/NAME` or `hf:FOLDER`; needs transformers."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from vislab.errors import DataError, OptionError
from vislab.models.hub import reaching_the_hub
from vislab.models.preprocessing import Preprocessing, three


class HuggingFace(nn.Module):
    """A classifier of transformers that gives its logits alone."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits)."""
        scores: Tensor = self.inner(pixel_values=images).logits
        return scores


def build(name: str, classes: int | None, *, config: dict[str, Any] | None = None) -> nn.Module:
    """Build a network with fresh weights from its configuration, given or read from the hub.

    Its configuration stands in `model.config`, so that it can be built again without the hub.
    """
    transformers = _transformers()
    found = dict(config) if config is not None else _configuration(name)
    kind = found.get("model_type")
    if kind is None:
        raise DataError(f"hf:{name} says no model_type in its config.json; it cannot be built")
    if classes is not None:
        found["id2label"] = {k: str(k) for k in range(classes)}
        found["label2id"] = {str(k): k for k in range(classes)}
    # In whatever precision it was kept, here it is trained in float32.
    left_out = ("model_type", "dtype", "torch_dtype")
    options = {key: value for key, value in found.items() if key not in left_out}
    try:
        settings = transformers.AutoConfig.for_model(kind, **options)
        inner = transformers.AutoModelForImageClassification.from_config(settings)
    except ValueError as error:
        raise OptionError(f"hf:{name} is no classifier of images ({_first(error)})") from error
    model = HuggingFace(inner.float())
    model.config = found  # type: ignore[assignment]
    return model


def weights(name: str) -> dict[str, Tensor]:
    """Fetch its weights. Raises DataError when they cannot be fetched."""
    transformers = _transformers()
    try:
        with reaching_the_hub():
            inner = transformers.AutoModelForImageClassification.from_pretrained(name)
    except (OSError, ValueError, SafetensorError) as error:
        raise DataError(f"the weights of hf:{name} cannot be fetched ({_first(error)})") from error
    return {f"inner.{key}": value for key, value in inner.state_dict().items()}


def preprocessing(name: str) -> Preprocessing | None:
    """Return what its weights were shown, as its preprocessor_config.json has it; None without."""
    try:
        shown = json.loads(_file(name, "preprocessor_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    size = shown.get("crop_size") if shown.get("do_center_crop") else shown.get("size")
    if isinstance(size, dict):
        size = size.get("height") or size.get("shortest_edge")
    half = (0.5, 0.5, 0.5)
    mean, std = shown.get("image_mean", half), shown.get("image_std", half)
    return Preprocessing(int(size or 224), three(mean), three(std))


def _configuration(name: str) -> dict[str, Any]:
    try:
        found = json.loads(_file(name, "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"hf:{name} cannot be fetched ({_first(error)})") from error
    if not isinstance(found, dict):
        raise DataError(f"the config.json of hf:{name} is no configuration")
    return found


def size(name: str) -> int:
    """Return the side in pixels of the images that a network was made for."""
    return side_of(_configuration(name))


def side_of(config: dict[str, Any]) -> int:
    """Return the side in pixels that a configuration names; 224 where it names none."""
    found = config.get("image_size", 224)
    return int(found[0] if isinstance(found, list) else found)


def _file(name: str, inside: str) -> Path:
    if Path(name).is_dir():
        return Path(name) / inside
    from huggingface_hub import hf_hub_download

    with reaching_the_hub():
        return Path(hf_hub_download(name, inside))


def _first(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _transformers() -> Any:
    if importlib.util.find_spec("transformers") is None:
        raise OptionError(
            "networks named hf:… need the transformers library: `pip install 'vislab[hf]'`"
        )
    import transformers

    return transformers
