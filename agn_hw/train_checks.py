"""What `agn_hw.fit` refuses before it spends time on it: data, recipe, networks that do not go together."""

from __future__ import annotations

import torch
from torch import nn

from agn_hw.recipe import Recipe, TrainingError
from agn_hw.zoo.data import Split, Splits

_TO_CODES = "images from 0 to 1 become codes by (images * 255).round().to(torch.uint8), labels by labels.long()"


def check(splits: Splits, recipe: Recipe, validate: bool) -> None:
    """Raises TrainingError for what is no Splits or Recipe, for tensors that are not as `Split` says, for labels
    outside the classes, and for images that the recipe cannot use."""
    if not isinstance(splits, Splits):
        mend = "make them of images and labels: agn_hw.zoo.data.from_images(images, labels)"
        raise TrainingError("splits of type agn_hw.zoo.data.Splits", f"a {type(splits).__name__} came", mend)
    if not isinstance(recipe, Recipe):
        came = f"a {type(recipe).__name__} came"
        raise TrainingError("a recipe of type agn_hw.Recipe", came, "agn_hw.Recipe(epochs=...)")
    _check_part("training", splits.train, splits.classes)
    if validate:
        _check_part("validation", splits.validation, splits.classes)
        if not len(splits.validation):
            mend = "give fit validate=False, or splits with validation images"
            raise TrainingError("validation images", "there are none", mend)
    if len(splits.train) < recipe.batch:
        came = f"batch {recipe.batch} is more than the {len(splits.train)} training images"
        raise TrainingError("a full batch", came, "make the batch smaller")
    shape = list(splits.train.images.shape)
    if recipe.augment != "none" and len(shape) != 4:
        wanted = f"images [N, C, H, W] for augment {recipe.augment!r}"
        raise TrainingError(wanted, f"{shape} came", "take augment='none'")
    if recipe.augment == "dihedral" and shape[2] != shape[3]:
        came = f"they have {shape[2]} x {shape[3]} pixels"
        raise TrainingError("square images for augment 'dihedral'", came, "take another augment, or square images")


def _check_part(name: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    for what, tensor, wanted in (("images", images, torch.uint8), ("labels", labels, torch.int64)):
        dtype = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        if dtype != wanted:
            raise TrainingError(f"{name} {what} as a tensor of {wanted}", f"{dtype} came", _TO_CODES)
    if labels.dim() != 1 or len(images) != len(labels):
        came = f"images {list(images.shape)} and labels {list(labels.shape)} came"
        raise TrainingError(f"a label for each {name} image", came, "give as many labels [N] as images [N, ...]")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        came = f"they go from {int(labels.min())} to {int(labels.max())}"
        raise TrainingError(f"{name} labels from 0 to {classes - 1}", came, "number the classes from 0 on")


def check_teacher(model: nn.Module, recipe: Recipe, teacher: nn.Module | None) -> None:
    """Raises TrainingError for a teacher without a weight in the loss or the reverse, and for one that is trained."""
    if (recipe.distill > 0) != (teacher is not None):
        came = f"distill is {recipe.distill} and there is {'no' if teacher is None else 'a'} teacher"
        raise TrainingError("a teacher and its weight in the loss", came, "give fit both `teacher` and `distill`")
    trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
    if teacher is not None and any(id(parameter) in trained for parameter in teacher.parameters()):
        came = "it is the model itself, or shares trained parameters with it"
        raise TrainingError("a teacher that stays as it is", came, "give fit copy.deepcopy(model) as the teacher")


def check_logits(logits: torch.Tensor, wanted: torch.Tensor | None, images: int, classes: int) -> None:
    """Raises TrainingError where a network's outputs are not [images, `classes` or more], or the teacher's (`wanted`)
    have another shape."""
    shape = list(logits.shape)
    if len(shape) != 2 or shape[0] != images or shape[1] < classes:
        wish, came = f"a network with {classes} outputs or more", f"outputs {shape} came for {images} images"
        raise TrainingError(f"{wish}, [images, outputs]", came, "change its last layer")
    if wanted is not None and wanted.shape != logits.shape:
        came = f"its outputs are {list(wanted.shape)}, the trained network's {shape}"
        raise TrainingError("a teacher with the same outputs", came, "take a teacher of the same classes")
