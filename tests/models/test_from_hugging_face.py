"""What Hugging Face's files say of a network, against transformers' own image processors."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vislab import models
from vislab.errors import DataError
from vislab.models import from_hugging_face
from vislab.models.preprocessing import Preprocessing

HALF = (0.5, 0.5, 0.5)
COLOURS = [(255, 0, 128), (3, 200, 64)]  # of plain images, whose colour no resize changes


@pytest.fixture
def transformers():
    return pytest.importorskip("transformers")


def written(folder, content):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "preprocessor_config.json").write_text(text)
    return str(folder)


def read(folder, **settings):
    return from_hugging_face.preprocessing(written(folder, settings))


def as_ours(shown, colour, *, flipped=False):
    values = (np.array(colour) / 255 - np.array(shown.mean)) / np.array(shown.std)
    return values[::-1] if flipped else values


def assert_same_images(processor, folder, *, flipped=False):
    """Both show a network images of one size and of the same values."""
    shown = from_hugging_face.preprocessing(str(folder))
    assert from_hugging_face._is_flipped(str(folder)) is flipped
    for colour in COLOURS:
        image = np.full((300, 300, 3), colour, dtype=np.uint8)
        theirs = processor(images=image, return_tensors="pt")["pixel_values"][0].numpy()
        assert theirs.shape == (3, shown.size, shown.size)
        middle = theirs[:, shown.size // 2, shown.size // 2]
        np.testing.assert_allclose(middle, as_ours(shown, colour, flipped=flipped), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("ViT", {"size": {"height": 32, "width": 32}}),
        ("ViT", {"size": 48, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}),
        ("ViT", {"size": 32, "do_normalize": False}),
        ("ViT", {"size": 32, "do_rescale": False}),
        ("ViT", {"size": 32, "do_rescale": False, "do_normalize": False}),
        ("ViT", {"size": 32, "do_rescale": False, "image_mean": [120.0, 110.0, 100.0],
                 "image_std": [60.0, 61.0, 62.0]}),
        ("ViT", {"size": 32, "rescale_factor": 1 / 127.5}),
        ("ViT", {"size": 32, "rescale_factor": 1 / 127.5, "do_normalize": False}),
        ("ViT", {"size": 32, "image_mean": 0.5, "image_std": 0.25}),
        ("EfficientNet", {}),
        ("EfficientNet", {"size": 64, "rescale_factor": 1 / 127.5, "rescale_offset": True}),
        ("EfficientNet", {"size": 64, "rescale_factor": 1 / 127.5, "rescale_offset": True,
                          "include_top": False, "image_std": [0.4, 0.5, 0.6]}),
        ("EfficientNet", {"size": 64, "include_top": True, "image_std": [0.4, 0.5, 0.6]}),
        ("EfficientNet", {"size": 64, "rescale_offset": True, "do_normalize": False}),
        ("EfficientNet", {"size": 64, "rescale_offset": True, "do_rescale": False}),
        ("ConvNext", {}),
        ("ConvNext", {"size": {"shortest_edge": 224}, "crop_pct": 0.875}),
        ("CLIP", {}),
        ("CLIP", {"size": {"shortest_edge": 40}, "crop_size": 32}),
        ("CLIP", {"size": {"shortest_edge": 40}, "do_center_crop": False}),
        ("Bit", {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}}),
        ("DeiT", {}),
        ("Beit", {"do_center_crop": True}),
        ("Levit", {}),
        ("PoolFormer", {}),
        ("Perceiver", {}),
        ("MobileViT", {}),
        ("MobileViT", {"do_flip_channel_order": False}),
        ("MobileNetV2", {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("whole", [True, False], ids=["saved by transformers", "what differs"])
def test_images_are_shown_as_transformers_shows_them(transformers, tmp_path, kind, settings, whole):
    name = f"{kind}ImageProcessor"
    processor = getattr(transformers, name)(**settings)
    if whole:
        processor.save_pretrained(tmp_path)
    else:  # what is left out is as the class has it
        written(tmp_path, {**settings, "image_processor_type": name})
    flipped = kind == "MobileViT" and settings.get("do_flip_channel_order", True)
    assert_same_images(processor, tmp_path, flipped=flipped)


@pytest.mark.parametrize("name", ["CLIPFeatureExtractor", "CLIPImageProcessorFast"])
def test_older_and_faster_classes_leave_out_the_same(transformers, tmp_path, name):
    key = "feature_extractor_type" if "Feature" in name else "image_processor_type"
    written(tmp_path, {key: name})
    assert_same_images(transformers.CLIPImageProcessor(), tmp_path)


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({"size": [48, 48]}, 48),
        ({"size": "48"}, 48),
        ({"size": 48.0}, 48),
        ({"size": {"height": 48, "width": 48, "shortest_edge": None}}, 48),
        ({"size": {"longest_edge": 48}}, 48),
        ({"size": {"shortest_edge": 40, "longest_edge": 60}}, 40),
        ({"size": {"shortest_edge": 80, "longest_edge": 60}}, 60),
        ({"size": {"max_height": 30, "max_width": 20}}, 20),
        ({"size": {"shortest_edge": 64}, "crop_size": [56, 56], "do_center_crop": True}, 56),
        ({"size": {"shortest_edge": 64}, "crop_size": 56, "do_center_crop": None}, 64),
        ({"size": {"shortest_edge": 64}, "crop_size": 56}, 64),
        ({"size": {"shortest_edge": 384}, "crop_pct": 0.875, "do_center_crop": None}, 384),
        ({"crop_size": "56", "do_center_crop": True}, 56),
        ({"size": 64, "do_center_crop": True}, 64),
        ({"size": None, "image_processor_type": "SomeoneElsesProcessor"}, 224),
    ],
)  # fmt: skip
def test_a_size_of_any_form_is_the_side_of_a_square(tmp_path, settings, side):
    assert read(tmp_path, **settings) == Preprocessing(side, HALF, HALF)


def test_images_that_are_not_resized_are_as_large_as_the_network_says(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "vit", "image_size": 28}')
    assert read(tmp_path, do_resize=False, size=224).size == 28
    assert read(tmp_path, do_resize=False, size=224, do_center_crop=True, crop_size=20).size == 20
    assert read(tmp_path, size=224).size == 224
    assert read(tmp_path).size == 28
    (tmp_path / "config.json").unlink()
    assert read(tmp_path, do_resize=False, size=64).size == 64


def test_what_is_null_is_left_out(tmp_path):
    nothing = dict.fromkeys(
        ["size", "crop_size", "do_center_crop", "do_resize", "do_rescale", "rescale_factor",
         "do_normalize", "image_mean", "image_std", "image_processor_type", "crop_pct"]
    )  # fmt: skip
    assert read(tmp_path, **nothing) == Preprocessing(224, HALF, HALF)


@pytest.mark.parametrize("key", ["size", "crop_size"])
@pytest.mark.parametrize("value", [[32, 64], {"height": 32, "width": 64}, ["32", 64]])
def test_images_that_are_not_square_are_refused(tmp_path, key, value):
    with pytest.raises(
        DataError, match=rf"preprocessor_config\.json: {key} is .*square images alone"
    ):
        read(tmp_path, **{"do_center_crop": key == "crop_size", key: value})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 0}, "size is 0; it must be pixels from 1 to 16384"),
        ({"size": -3}, "size is -3;"),
        ({"size": 1e9}, "size is 1000000000.0;"),
        ({"size": 32.5}, "size is 32.5;"),
        ({"size": True}, "size is True;"),
        ({"size": "large"}, "size is 'large';"),
        ({"size": "9" * 6000}, "size is '999"),
        ({"size": []}, "size is \\[\\];"),
        ({"size": [1, 1, 1]}, "size is \\[1, 1, 1\\];"),
        ({"size": [[32]]}, "size is \\[\\[32\\]\\];"),
        ({"size": {}}, "size is {};"),
        ({"size": {"edge": 3}}, "size is {'edge': 3};"),
        ({"size": {"height": "x", "width": 3}}, "size is "),
        ({"crop_size": {"height": []}, "do_center_crop": True}, "crop_size is "),
        ({"crop_pct": "0.9"}, "crop_pct is '0.9'; it must be a number above 0"),
        ({"do_normalize": "no"}, "do_normalize is 'no'; it must be true or false"),
        ({"do_rescale": 1}, "do_rescale is 1;"),
        ({"do_resize": "yes"}, "do_resize is 'yes';"),
        ({"do_center_crop": []}, "do_center_crop is \\[\\];"),
        ({"do_flip_channel_order": 0.5}, "do_flip_channel_order is 0.5;"),
        ({"rescale_offset": "x"}, "rescale_offset is 'x';"),
        ({"rescale_factor": 0}, "rescale_factor is 0; it must be a number above 0"),
        ({"rescale_factor": "1/255"}, "rescale_factor is '1/255';"),
        ({"rescale_factor": float("inf")}, "rescale_factor is inf;"),
        ({"image_mean": [0.5, 0.5]}, "image_mean is .* one for each of three channels"),
        ({"image_mean": []}, "image_mean is"),
        ({"image_mean": [0.5] * 4}, "image_mean is"),
        ({"image_mean": ["0.5"] * 3}, "image_mean is"),
        ({"image_mean": {"r": 0.5}}, "image_mean is"),
        ({"image_mean": [float("nan")] * 3}, "image_mean is"),
        ({"image_std": [0.5, 0.0, 0.5]}, "image_std is .* numbers above 0"),
        ({"image_std": -1}, "image_std is -1; it must be numbers above 0"),
        ({"image_std": "x"}, "image_std is 'x';"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_named_with_its_file(tmp_path, settings, said):
    with pytest.raises(DataError, match=rf"preprocessor_config\.json: {said}") as caught:
        read(tmp_path, **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", "null", '"text"', "\x00", "[" * 100_000, '{"size": 32']
)
def test_a_damaged_file_is_named_and_not_taken_for_none(tmp_path, content):
    with pytest.raises(DataError, match=r"preprocessor_config\.json is damaged") as caught:
        from_hugging_face.preprocessing(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_damaged(tmp_path):
    (tmp_path / "preprocessor_config.json").write_bytes(b"\xff\xfe\x80\x81")
    with pytest.raises(DataError, match=r"preprocessor_config\.json is damaged"):
        from_hugging_face.preprocessing(str(tmp_path))


def test_a_class_of_processor_that_is_none_is_no_class(tmp_path):
    for kind in ("pipeline", "AutoModel", "__file__", "NoSuchImageProcessor", 3, ["x"], {}):
        assert read(tmp_path, image_processor_type=kind) == Preprocessing(224, HALF, HALF)


def network(transformers, folder, labels=("cat", "dog", "fox"), **options):
    torch.manual_seed(0)
    settings = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=32,
        image_size=32, patch_size=8, id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)}, **options,
    )  # fmt: skip
    model = transformers.ViTForImageClassification(settings).eval()
    model.save_pretrained(folder)
    written(folder, {"size": 32})
    return model


def test_a_network_says_what_its_classes_are_called(transformers, tmp_path):
    network(transformers, tmp_path)
    model = models.create(f"hf:{tmp_path}", classes=None, pretrained=True)
    assert model.class_names == ("cat", "dog", "fox")
    assert model.reading is None
    model = models.create(f"hf:{tmp_path}", classes=3, pretrained=True)  # other classes
    assert model.class_names is None
    built = json.loads(json.dumps(model.built_as))
    assert models.create(built["name"], classes=3, **built["options"]).class_names is None


def test_classes_are_in_the_order_of_their_numbers():
    numbers = {str(k): f"name {k}" for k in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9)}
    found = from_hugging_face.class_names({"id2label": numbers})
    assert found == tuple(f"name {k}" for k in range(11))


@pytest.mark.parametrize("names", [None, {}, [], "cat", {"1": "cat"}, {"0": "cat", "2": "dog"}])
def test_names_that_leave_a_class_out_are_none(names):
    assert from_hugging_face.class_names({"id2label": names}) is None


@pytest.mark.parametrize(
    ("kind", "reading"),
    [("multi_label_classification", "sigmoid"), ("single_label_classification", None)],
)
def test_a_network_of_several_labels_at_once_says_so(transformers, tmp_path, kind, reading):
    network(transformers, tmp_path, problem_type=kind)
    assert models.create(f"hf:{tmp_path}", classes=None, pretrained=True).reading == reading
    assert models.create(f"hf:{tmp_path}", classes=3, pretrained=True).reading is None


def test_other_networks_know_no_names():
    for name in ("convnet", "torchvision:squeezenet1_1", "timm:test_vit"):
        model = models.create(name, classes=3)
        assert model.class_names is None
        assert model.reading is None


@pytest.mark.parametrize("spelling", ["as saved", "the library's", "ours", "of a trainer"])
@pytest.mark.parametrize("classes", [3, 2])
def test_weights_of_a_file_are_found_under_any_spelling(transformers, tmp_path, spelling, classes):
    source = network(transformers, tmp_path)
    other = network(transformers, tmp_path / "other", labels=range(classes))
    given = {
        "as saved": load_file(tmp_path / "other" / "model.safetensors"),
        "the library's": other.state_dict(),
        "ours": {f"inner.{name}": tensor for name, tensor in other.state_dict().items()},
        "of a trainer": {f"model.{name}": tensor for name, tensor in other.state_dict().items()},
    }[spelling]
    torch.save(given, tmp_path / "a.ckpt")
    model = models.create(f"hf:{tmp_path}", classes=None, weights=tmp_path / "a.ckpt").eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model(images), other(pixel_values=images).logits)
    assert model.class_names == (("cat", "dog", "fox") if classes == 3 else None)
    assert source.config.num_labels == 3


def test_a_thousand_names_do_not_follow_weights_of_another_file(transformers, tmp_path):
    network(transformers, tmp_path, labels=[f"species {k}" for k in range(1000)])
    model = models.create(f"hf:{tmp_path}", classes=None, pretrained=True)
    assert model.class_names[999] == "species 999"
    weights = tmp_path / "model.safetensors"
    assert models.create(f"hf:{tmp_path}", classes=None, weights=weights).class_names is None


def test_a_head_that_the_library_would_draw_at_random_is_missing(transformers, tmp_path):
    network(transformers, tmp_path).vit.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps({**json.loads((tmp_path / "config.json").read_text()), "num_labels": 3})
    )
    with pytest.raises(DataError, match="have no head; say how many classes"):
        models.create(f"hf:{tmp_path}", classes=None, pretrained=True)


def test_a_network_that_sees_blue_first_is_shown_blue_first(transformers, tmp_path):
    source = network(transformers, tmp_path)
    written(tmp_path, {"size": 32, "do_flip_channel_order": True})
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model = models.create(f"hf:{tmp_path}", classes=None, pretrained=True).eval()
    with torch.no_grad():
        wanted = source(pixel_values=images[:, [2, 1, 0]]).logits
        torch.testing.assert_close(model(images), wanted)
        assert not torch.allclose(source(pixel_values=images).logits, wanted, atol=1e-3)
        (tmp_path / "preprocessor_config.json").unlink()
        built = json.loads(json.dumps(model.built_as))
        again = models.create(built["name"], classes=None, **built["options"]).eval()
        again.load_state_dict(model.state_dict())
        torch.testing.assert_close(again(images), wanted)


@pytest.mark.parametrize(
    ("value", "said"), [([32, 64], "square images alone"), ("x", "must be pixels"), ({}, "must be")]
)
def test_a_size_in_the_configuration_that_cannot_be_is_told(tmp_path, value, said):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit", "image_size": value}))
    with pytest.raises(DataError, match=rf"config\.json: image_size is .*{said}"):
        models.natural_size(f"hf:{tmp_path}")
