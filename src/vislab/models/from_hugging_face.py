"""Image classifiers of Hugging Face, by `hf:OWNER/NAME` or `hf:FOLDER`; needs transformers."""

import contextlib
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn

from vislab.errors import DataError, OptionError
from vislab.models import image_processor
from vislab.models.hub import reaching_the_hub
from vislab.models.image_processor import USUAL_SIDE, ImageProcessor
from vislab.models.preprocessing import Preprocessing

FLIPPED = "do_flip_channel_order"
SEVERAL = "multi_label_classification"  # classes that may be true at once


class HuggingFace(nn.Module):
    """A classifier of transformers that gives its logits alone."""

    def __init__(self, inner: nn.Module, *, flipped: bool = False) -> None:
        """Take a classifier of images in RGB, or `flipped`: in BGR."""
        super().__init__()
        self.inner = inner
        self.flipped = flipped
        self.class_names: tuple[str, ...] | None = None
        self.reading: str | None = None

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Return class scores (logits) of images in RGB."""
        shown = images.flip(1) if self.flipped else images
        scores: Tensor = self.inner(pixel_values=shown).logits
        return scores


def build(name: str, classes: int | None, *, config: dict[str, Any] | None = None) -> nn.Module:
    """Build a network with fresh weights from its configuration, given or read from the hub.

    Its configuration stands in `model.config`, so that it can be built again without the hub. With
    the classes it was made for, `model.class_names` are their names where the configuration has
    them, and `model.reading` is "sigmoid" where several may be true at once.
    """
    transformers = _transformers()
    found = dict(config) if config is not None else _configuration(name)
    if config is None and _is_flipped(name):
        found[FLIPPED] = True  # so that a run folder knows
    kind = found.get("model_type")
    if kind is None:
        raise DataError(f"hf:{name} says no model_type in its config.json; it cannot be built")
    if classes is not None:
        found["id2label"] = {k: str(k) for k in range(classes)}
        found["label2id"] = {str(k): k for k in range(classes)}
    # In whatever precision it was kept, here it is trained in float32.
    left_out = ("model_type", "dtype", "torch_dtype", FLIPPED)
    options = {key: value for key, value in found.items() if key not in left_out}
    try:
        settings = transformers.AutoConfig.for_model(kind, **options)
        inner = transformers.AutoModelForImageClassification.from_config(settings)
    except Exception as error:  # whatever a setting of another type leads to
        raise OptionError(f"hf:{name} is no classifier of images ({_first(error)})") from error
    model = HuggingFace(inner.float(), flipped=found.get(FLIPPED) is True)
    model.config = found  # type: ignore[assignment]
    if classes is None:
        model.class_names = class_names(found)
        model.reading = "sigmoid" if found.get("problem_type") == SEVERAL else None
    return model


def class_names(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the names of classes 0, 1, … in a configuration's `id2label`; None without."""
    names = config.get("id2label")
    if not isinstance(names, Mapping) or not names:
        return None
    by_number = {str(number): str(label) for number, label in names.items()}
    wanted = [str(number) for number in range(len(by_number))]
    return tuple(by_number[k] for k in wanted) if set(wanted) == by_number.keys() else None


def weights(name: str) -> dict[str, Tensor]:
    """Fetch its weights, without those that transformers would draw at random.

    Raises DataError when they cannot be fetched.
    """
    transformers = _transformers()
    try:
        with reaching_the_hub():
            inner, told = transformers.AutoModelForImageClassification.from_pretrained(
                name, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError(f"the weights of hf:{name} cannot be fetched ({_first(error)})") from error
    fresh = set(told["missing_keys"])
    given = {key: value for key, value in inner.state_dict().items() if key not in fresh}
    return {f"inner.{key}": value for key, value in given.items()}


def spellings(model: HuggingFace) -> list[dict[str, str]]:
    """Return how files may call each of its tensors, by its name here.

    By the library's own name, or by the one that the library saves it under, as older versions did.
    """
    inner: Any = model.inner
    own: dict[str, Tensor] = inner.state_dict()
    saved = own
    with contextlib.suppress(ImportError):  # before version 5 both are the same
        from transformers.core_model_loading import revert_weight_conversion

        saved = revert_weight_conversion(inner, dict(own))
    names = {id(tensor): name for name, tensor in saved.items()}
    return [
        {f"inner.{name}": name for name in own},
        {f"inner.{name}": names.get(id(tensor), name) for name, tensor in own.items()},
    ]


def preprocessing(name: str) -> Preprocessing | None:
    """Return what its weights were shown, as its preprocessor_config.json has it; None without.

    Raises DataError naming the file where it is damaged or asks for what cannot be shown.
    """
    found = _image_processor(name)
    return None if found is None else found.preprocessing


def _is_flipped(name: str) -> bool:
    found = _image_processor(name)
    return found is not None and found.flipped


def _image_processor(name: str) -> ImageProcessor | None:
    try:
        path = _file(name, "preprocessor_config.json")
        if not path.is_file():
            return None
    except (OSError, ValueError):  # the hub has none, or cannot be asked
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is damaged ({_first(error)})") from error
    kind = ""
    if isinstance(content, Mapping):
        kind = content.get("image_processor_type") or content.get("feature_extractor_type") or ""
    own = None
    with contextlib.suppress(DataError):
        config = _configuration(name)
        own = side_of(config) if config.get("image_size") is not None else None
    return image_processor.read(content, str(path), usual=_usual(kind), own_side=own)


def _usual(kind: Any) -> dict[str, Any] | None:
    """Return the settings of a class of image processors; None where it is not known."""
    if not isinstance(kind, str) or importlib.util.find_spec("transformers") is None:
        return None
    name = kind.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")
    found = getattr(_transformers(), name, None) if name.endswith("ImageProcessor") else None
    if not hasattr(found, "do_rescale"):
        return None
    return {key: getattr(found, key, None) for key in image_processor.KEYS}


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


def side_of(config: Mapping[str, Any]) -> int:
    """Return the side in pixels that a configuration names; 224 where it names none.

    Raises DataError where it is no number of pixels, or images are not square.
    """
    found = config.get("image_size")
    return (
        USUAL_SIDE if found is None else image_processor.side_of(found, "image_size", "config.json")
    )


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
