"""What a folder nearly is: forms that are no class folders, told before they are taken for some."""

from collections import Counter
from pathlib import PurePosixPath

from vislab.data.tree import Tree

IMAGE_FOLDERS = {"images", "image", "imgs", "img", "pictures", "photos", "jpegimages", "inputs"}
TRUTH_FOLDERS = {
    "masks", "mask", "labels", "label", "annotations", "annots", "gt", "groundtruth",
    "ground_truth", "segmentations", "segmentation", "depth", "targets",
}  # fmt: skip
ALL_THE_SAME = "(`--labels folders` takes the folders for classes all the same)"


def what_it_nearly_is(tree: Tree) -> str | None:
    """Return what the images lie beside, as the end of a sentence; None where that is nothing."""
    from vislab.data.formats.foreign import foreign_form  # these look into files
    from vislab.data.formats.mask_folders import nearly_masks

    for form in (foreign_form, _parquet, nearly_masks, _images_and_truth):
        if (told := form(tree)) is not None:
            return f"{told} {ALL_THE_SAME}"
    return None


def _parquet(tree: Tree) -> str | None:
    files = tree.ending(".parquet")
    if files and len(files) >= len(tree.images):
        return (
            f"holds tables of Hugging Face (first: {files[0]}), which are not read; save the "
            "images into class folders"
        )
    return None


def _images_and_truth(tree: Tree) -> str | None:
    """Recognise folders of images and of what belongs to each of them, not to be told by name."""
    folders = Counter(part.lower() for m in tree.images for part in PurePosixPath(m).parts[:-1])
    truth = [name for name in folders if name in TRUTH_FOLDERS]
    images = [name for name in folders if name in IMAGE_FOLDERS]
    if truth and images:
        return f"has folders called {images[0]} and {truth[0]}, which are no classes"
    return None
