"""Saliency, SmoothGrad, integrated gradients and occlusion: closed forms and laws."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.explain.nets_to_explain import Nested, Scores, state
from vislab.errors import OptionError, ShapeError
from vislab.explain.gradients import input_gradient, still
from vislab.explain.integrated_gradients import integrated_gradients
from vislab.explain.methods import METHODS
from vislab.explain.occlusion import occlusion, windows
from vislab.explain.saliency import saliency
from vislab.explain.smooth_grad import smooth_grad


@pytest.fixture
def images(rng):
    return torch.randn(2, 3, 12, 9, generator=rng)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Nested()


def test_the_saliency_of_a_linear_model_is_its_largest_weight(images):
    torch.manual_seed(0)
    model = Scores(12, 9)
    found = saliency(model, images, 2)
    torch.testing.assert_close(found, model.weight[2].detach().abs().amax(dim=0).expand(2, 12, 9))


def test_the_gradient_is_that_of_finite_differences(net):
    net = net.double()
    torch.manual_seed(3)
    image = torch.randn(1, 3, 7, 6, dtype=torch.float64)
    ours = input_gradient(net, image, 1)[0]
    step = 1e-6
    for place in ((0, 2, 3), (2, 6, 5), (1, 0, 0)):
        moved = torch.zeros_like(image)
        moved[0][place] = step
        with torch.no_grad():
            slope = (net.eval()(image + moved) - net(image - moved))[0, 1] / (2 * step)
        assert float(ours[place]) == pytest.approx(float(slope), rel=1e-5, abs=1e-9)


def test_smooth_grad_of_a_linear_model_is_its_saliency(images):
    torch.manual_seed(0)
    model = Scores(12, 9)
    found = smooth_grad(model, images, 1, samples=5, quiet=True)
    torch.testing.assert_close(found, saliency(model, images, 1))


def test_smooth_grad_does_not_depend_on_company_or_memory(net, images):
    together = smooth_grad(net, images, 1, samples=7, quiet=True)
    alone = smooth_grad(net, images[1:], 1, samples=7, budget=1, quiet=True)
    torch.testing.assert_close(together[1:], alone)


def test_smooth_grad_is_the_mean_gradient_over_the_noise(net, images):
    found = smooth_grad(net, images[:1], 1, samples=3, noise=0.2, seed=4, quiet=True)
    generator = torch.Generator().manual_seed(4)
    spread = 0.2 * (images[0].max() - images[0].min())
    total = sum(
        input_gradient(net, images[:1] + spread * torch.randn(3, 12, 9, generator=generator), 1)
        for _ in range(3)
    )
    torch.testing.assert_close(found, (total / 3).abs().amax(dim=1))


@pytest.mark.parametrize("baseline", [0.0, -0.7])
def test_integrated_gradients_are_complete(net, images, baseline):
    found = integrated_gradients(net, images, 3, baseline=baseline, steps=600, quiet=True)
    with torch.no_grad():
        gap = net.eval()(images)[:, 3] - net(torch.full_like(images, baseline))[:, 3]
    torch.testing.assert_close(found.sum(dim=(1, 2, 3)), gap, rtol=2e-3, atol=2e-4)


def test_integrated_gradients_of_a_linear_model_are_weight_times_way(images):
    torch.manual_seed(0)
    model = Scores(12, 9)
    found = integrated_gradients(model, images, 0, baseline=0.5, steps=1, quiet=True)
    torch.testing.assert_close(found, (images - 0.5) * model.weight[0].detach())


def test_occlusion_of_a_linear_model_is_its_weights_times_the_patch(images):
    torch.manual_seed(0)
    model = Scores(12, 9)
    found = occlusion(model, images, 2, window=3, stride=3, fill=0.25, quiet=True)
    worth = ((images - 0.25) * model.weight[2].detach()).sum(dim=1)  # (N, 12, 9)
    patch = worth.unfold(1, 3, 3).unfold(2, 3, 3).sum(dim=(3, 4))
    expected = patch.repeat_interleave(3, dim=1).repeat_interleave(3, dim=2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_windows_cover_every_pixel_when_the_stride_is_no_wider(height, width, window, stride):
    window = min(window, height, width)
    covers = windows(height, width, window, min(stride, window))
    assert covers.any(dim=0).all()
    assert int(covers.sum(dim=(1, 2)).max()) == window * window


@pytest.mark.parametrize(("window", "stride"), [(10, 1), (0, 1), (3, 0)])
def test_a_window_that_does_not_fit_is_refused(net, images, window, stride):
    with pytest.raises(OptionError, match=r"12×9.*1 to 9"):
        occlusion(net, images, 0, window=window, stride=stride)


def test_every_method_leaves_the_network_as_it_was(net, images):
    net.body["third"].weight.requires_grad_(False)
    net.train()
    before = state(net)
    for name, method in METHODS.items():
        if "attention" in name or "rollout" in name:
            with pytest.raises(ShapeError, match="no attention"):
                method(net, images, 1)
            assert state(net) == before, name
            continue
        found = method(net, images, 1)
        assert found.shape[0] == 2, name
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert state(net) == before, name


def test_weights_are_free_again_after_an_error(net):
    def stop():
        with still(net):
            assert not any(p.requires_grad for p in net.parameters())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        stop()
    assert all(p.requires_grad for p in net.parameters())


def test_no_images_give_no_maps(net):
    none = torch.zeros(0, 3, 12, 9)
    for function in (smooth_grad, integrated_gradients, occlusion):
        assert len(function(net, none)) == 0


def test_the_global_random_state_is_not_touched(net, images):
    before = torch.get_rng_state()
    smooth_grad(net, images, 0, samples=2, quiet=True)
    assert torch.equal(before, torch.get_rng_state())
