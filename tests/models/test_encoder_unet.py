"""U-Net over networks of timm's."""

import socket

import pytest
import torch
from huggingface_hub import constants

from tests.models.dense_fitting import wrong_after
from vislab.errors import DataError, OptionError
from vislab.models.encoder_unet import EncoderUNet

# Maps from half the size down; from a quarter down, four of them; from the full size down, six; and
# one that takes even sides only where it halves.
ENCODERS = ("test_resnet", "test_efficientnet", "test_convnext", "vgg11_bn", "dla46_c")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_size_comes_back_as_it_was_and_every_weight_has_a_part_in_it(encoder, rng):
    network = EncoderUNet(classes=3, encoder=encoder)
    scores = network(torch.randn(2, 3, 37, 50, generator=rng))
    assert scores.shape == (2, 3, 37, 50)
    scores.square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_maps_of_every_size_reach_the_answer(rng):
    network = EncoderUNet(classes=3, encoder="test_resnet").eval()
    images = torch.randn(1, 3, 40, 40, generator=rng)
    before, own = network(images), network.encoder.forward
    for level in range(5):

        def changed(x, level=level):
            maps = own(x)
            maps[level] = maps[level] + 1
            return maps

        network.encoder.forward = changed
        assert not torch.equal(network(images), before), level


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        ("nothing_at_all", "Unknown model"),
        ("swin_tiny_patch4_window7_224", r"any size .*model \(224\)"),
        ("test_maxvit", "any size"),
        ("vit_tiny_patch16_224", "any size"),
    ],
)
def test_a_network_that_gives_no_maps_of_any_size_is_refused_when_it_is_built(encoder, sentence):
    with pytest.raises(OptionError, match=f"timm has no network '{encoder}' .*{sentence}"):
        EncoderUNet(classes=2, encoder=encoder)


def test_without_a_connection_it_is_the_weights_that_are_missing(monkeypatch, tmp_path):
    def refuse(*_arguments, **_options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("HTTPS_PROXY", "https_proxy", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="the weights of timm:test_resnet cannot be fetched"):
        EncoderUNet(classes=2, encoder="test_resnet", pretrained=True)


def test_it_learns_four_images_by_heart():
    torch.manual_seed(0)
    assert wrong_after(EncoderUNet(classes=3, encoder="test_resnet"), steps=40) <= 20  # of 1080
