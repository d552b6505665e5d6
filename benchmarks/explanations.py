"""Occlusion against captum's and Grad-CAM against pytorch-grad-cam's, time and memory.

`python benchmarks/explanations.py OUT.json`. Needs captum and grad-cam. Both contenders explain the
same image for the same class; before anything is timed their maps are compared. captum is timed
at several batches and counts at its best. Memory is the largest sum of tensors alive in a process
of its own, above what is there before the first map, as the profiler of torch counts it.
"""

import statistics
import time

import torch
from timing import about, write
from torch.profiler import ProfilerActivity, profile
from torchvision.models import mobilenet_v2, resnet18

from vislab.explain import grad_cam, last_target_layer, occlusion

WINDOW, STRIDE, REPEATS = 32, 16, 5
BATCHES = (1, 4, 8, 16, 32, 64)


def seconds(function, repeats):
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begun)
    return taken


def taking_turns(contenders, repeats):
    """Return the times of each, in turns, after one round that is not counted."""
    for function in contenders.values():
        function()
    taken = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, function in contenders.items():
            taken[name] += seconds(function, 1)
    return taken


def largest_memory(function):
    """Return how many bytes of tensors were alive at once, above those at the beginning."""
    function()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        function()
    alive = largest = 0
    for event in seen.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            largest = max(largest, alive)
    return largest


def occlusion_row():
    from captum.attr import Occlusion

    torch.manual_seed(0)
    model, image = mobilenet_v2(num_classes=10).train(), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        for module in model.modules():  # as drawn, scores of so deep a network vanish
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for _ in range(40):
            model(torch.randn(8, 3, 96, 96))
    model.eval()
    theirs = Occlusion(model)

    def captum(batch):
        return theirs.attribute(
            image, sliding_window_shapes=(3, WINDOW, WINDOW), strides=(3, STRIDE, STRIDE),
            target=3, perturbations_per_eval=batch,
        )  # fmt: skip

    def ours():
        return occlusion(model, image, 3, window=WINDOW, stride=STRIDE, quiet=True)

    other = captum(8)[:, 0].detach()
    apart = float((ours() - other).abs().max())
    assert float(other.abs().max()) > 1e-3, "there is nothing to compare"
    assert apart <= 1e-5 * max(1.0, float(other.abs().max())), f"they differ by {apart:.1e}"
    by_batch = {batch: min(seconds(lambda batch=batch: captum(batch), 2)) for batch in BATCHES}
    best = min(by_batch, key=lambda batch: by_batch[batch])
    taken = taking_turns({"vislab": ours, "captum": lambda: captum(best)}, REPEATS)
    middle = {name: statistics.median(times) for name, times in taken.items()}
    return {
        "case": f"occlusion, MobileNetV2 at 224 pixels, window {WINDOW}, stride {STRIDE}",
        "peer": "captum", "peers_batch": best, "seconds": middle,
        "ratio": middle["vislab"] / middle["captum"], "largest_difference": apart,
        "all_seconds": taken,
    }  # fmt: skip


def grad_cam_rows():
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    torch.manual_seed(0)
    model = resnet18(num_classes=10).eval()
    for count in (1, 8):
        images = torch.randn(count, 3, 224, 224)
        target_layer = last_target_layer(model, images[0])
        theirs = GradCAM(model=model, target_layers=[model.layer4[-1]])
        targets = [ClassifierOutputTarget(3)] * count
        contenders = {
            "vislab": lambda images=images, target_layer=target_layer: grad_cam(
                model, images, 3, target_layer=target_layer
            ),
            "vislab, finding the layer": lambda images=images: grad_cam(model, images, 3),
            "pytorch-grad-cam": lambda images=images, targets=targets, theirs=theirs: theirs(
                input_tensor=images, targets=targets
            ),
        }
        ours = contenders["vislab"]()
        wide = torch.nn.functional.interpolate(ours[:, None], (224, 224), mode="bilinear")[:, 0]
        other = torch.from_numpy(contenders["pytorch-grad-cam"]()).flatten(1)
        alike = torch.corrcoef(torch.stack([wide.flatten(), other.flatten()]))[0, 1]
        assert alike > 0.97, f"the maps are not alike: correlation {alike:.3f}"
        taken = taking_turns(contenders, 3 * REPEATS)
        middle = {name: statistics.median(times) for name, times in taken.items()}
        memory = {name: largest_memory(function) for name, function in contenders.items()}
        yield {
            "case": f"Grad-CAM, ResNet-18 at 224 pixels, {count} at once",
            "peer": "pytorch-grad-cam", "seconds": middle,
            "ratio": middle["vislab"] / middle["pytorch-grad-cam"],
            "ratio_finding_the_layer": middle["vislab, finding the layer"]
            / middle["pytorch-grad-cam"],
            "bytes": memory,
            "ratio_of_memory": memory["vislab"] / memory["pytorch-grad-cam"],
            "all_seconds": taken,
        }  # fmt: skip


def main():
    about()
    write("explanations", [occlusion_row(), *grad_cam_rows()])


if __name__ == "__main__":
    main()
