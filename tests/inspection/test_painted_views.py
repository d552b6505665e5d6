"""What a classifier paints: the figures hold what was painted, the records what it took."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.explain.small_nets import colour_net
from tests.inspection.kept import Kept, coloured, table_of
from vislab.inspection import painted_views


@pytest.fixture
def book(tmp_path):
    return Kept(tmp_path)


def shown_to(network, image):
    """Return the probabilities of a drawn image."""
    with torch.no_grad():
        return network(torch.from_numpy(image[None]).permute(0, 3, 1, 2) / 255).softmax(1)[0]


def test_each_class_is_painted_in_its_colour_and_the_least_sure_is_recorded(book):
    network, table = colour_net(), coloured()
    painted_views.paint_classes(book, network, table, steps=40)
    title = "what each class would look like most"
    drawn = book.images(title)
    assert [one.shape for one in drawn] == [(12, 12, 3)] * 3
    sure = []
    for k, one in enumerate(drawn):
        assert one.mean(axis=(0, 1)).argmax() == k
        sure.append(float(shown_to(network, one)[k]))
    recorded = book.run.result.metrics["painted classes: lowest probability"]
    assert recorded == pytest.approx(min(sure), abs=0.01)  # eight bits round the drawn ones
    assert [text.splitlines()[0] for text in book.texts(title)] == list(table.classes)


def test_of_many_classes_the_first_ten_are_painted(book):
    table = replace(coloured(), classes=tuple("abcdefghijkl"))
    painted_views.paint_classes(book, colour_net(classes=12), table, steps=1)
    assert len(book.images("what each class would look like most")) == 10


def test_the_fooling_image_is_taken_for_the_next_class_and_its_change_is_measured(book):
    network, table = colour_net(), coloured(strength=30)
    painted_views.show_fooling(book, network, table, 4)  # the fifth to test on, the eighth in all
    title = "an image that fools the network"
    given, fooled, change = book.images(title)
    assert np.array_equal(given, table.pixels[7])
    assert shown_to(network, given).argmax() == 1
    assert shown_to(network, fooled).argmax() == 2
    assert book.texts(title)[0] == "green"
    assert book.texts(title)[1].startswith("blue ")
    assert "not fooled" not in book.texts(title)[1]
    apart = np.abs(fooled.astype(float) - given) / 255
    found = book.run.result.metrics
    assert found["fooling image: largest change of a pixel"] == pytest.approx(apart.max())
    assert found["fooling image: L2 norm of the change"] == pytest.approx(np.linalg.norm(apart))
    assert found["fooling image: root mean square change"] == pytest.approx(
        np.linalg.norm(apart) / apart.size**0.5
    )
    assert change == pytest.approx(255 * apart / apart.max(), abs=1)


def test_who_cannot_be_fooled_is_said_not_to_be(book):
    network = colour_net()
    with torch.no_grad():
        network[0].weight.mul_(1e-3)
        network[0].bias.copy_(torch.tensor([9.0, 0.0, 0.0]))
    painted_views.show_fooling(book, network, coloured(), 0)
    assert book.texts("an image that fools the network")[1].endswith("not fooled")


class Pooled(nn.Module):
    """All pixels at one size, means of squares of 4×4 at the next."""

    def __init__(self):
        super().__init__()
        self.all, self.means, self.head = nn.Conv2d(3, 3, 1), nn.AvgPool2d(4), nn.Linear(3, 3)
        with torch.no_grad():
            self.all.weight.copy_(torch.eye(3)[..., None, None])
            self.all.bias.zero_()

    def forward(self, x):
        return self.head(self.means(self.all(x)).mean(dim=(2, 3)))


def test_what_a_layer_keeps_comes_back_and_what_it_pools_is_forgotten(book):
    """Stripes two pixels wide are grey to who sees squares of four."""
    stripes = np.full((4, 12, 12, 3), 90, np.uint8)
    stripes[:, 0::4] = stripes[:, 1::4] = 170
    table = table_of(stripes, [0, 1, 2, 0], train=1)
    painted_views.show_dreams(book, Pooled(), table, 2, steps=60)
    title = "dreamt on, and painted again from features"
    first, second, *layers = book.texts(title)
    assert (first, second) == ("the image", "dreamt on")
    assert [text.split()[1] for text in layers] == ["all", "means"]
    given, dream, whole, pooled = (one.astype(float) for one in book.images(title))
    assert np.array_equal(given, stripes[0])
    assert dream.mean() > given.mean() + 1  # the layer answers to brightness
    assert np.abs(whole - given).mean() < 20
    assert pooled == pytest.approx(np.full((12, 12, 3), 130.0), abs=3)


def test_a_network_without_places_does_not_dream(book):
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 12, 3))
    painted_views.show_dreams(book, network, coloured(), 0, steps=2)
    assert book.figures == {}
    (note,) = book.run.result.notes
    assert note.startswith("No dream: ")
