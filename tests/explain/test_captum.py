"""Our maps are captum's, on three networks, to 1e-5."""

import warnings

import pytest
import torch
from captum import attr

from tests.explain.nets_to_explain import torchvision_nets
from vislab.explain.deconvnet import deconvnet
from vislab.explain.grad_cam import grad_cam
from vislab.explain.guided_backprop import guided_backprop
from vislab.explain.integrated_gradients import integrated_gradients
from vislab.explain.occlusion import occlusion
from vislab.explain.saliency import saliency
from vislab.explain.target_layers import last_target_layer

NETS = torchvision_nets()
TARGET = torch.tensor([2, 5])


def theirs(method, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they warn of the hooks they set
        return method.attribute(*arguments, **options).detach()


@pytest.fixture(params=NETS)
def net(request):
    return NETS[request.param]


@pytest.fixture
def images(rng):
    return torch.randn(2, 3, 64, 72, generator=rng)


def agree(ours, other):
    assert float(other.abs().max()) > 1e-4
    assert float((ours - other).abs().max()) <= 1e-5 * max(1.0, float(other.abs().max()))


def test_saliency(net, images):
    other = theirs(attr.Saliency(net), images, TARGET).amax(dim=1)
    agree(saliency(net, images, TARGET), other)


def test_integrated_gradients(net, images):
    other = theirs(attr.IntegratedGradients(net), images, target=TARGET, n_steps=50)
    agree(integrated_gradients(net, images, TARGET, steps=50), other)


def test_guided_back_propagation(net, images):
    other = theirs(attr.GuidedBackprop(net), images, TARGET)
    agree(guided_backprop(net, images, TARGET), other)


def test_deconvolution(net, images):
    agree(deconvnet(net, images, TARGET), theirs(attr.Deconvolution(net), images, TARGET))


def test_occlusion(net, images):
    other = theirs(
        attr.Occlusion(net), images, sliding_window_shapes=(3, 20, 20), strides=(3, 13, 13),
        target=TARGET, perturbations_per_eval=4,
    )[:, 0]  # fmt: skip
    agree(occlusion(net, images, TARGET, window=20, stride=13), other)


def test_grad_cam(net, images):
    layer = net.get_submodule(last_target_layer(net, images[0]).layer)
    other = theirs(attr.LayerGradCam(net, layer), images, TARGET, relu_attributions=True)[:, 0]
    agree(grad_cam(net, images, TARGET), other)
