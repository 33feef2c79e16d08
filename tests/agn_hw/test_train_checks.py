"""What the training loop refuses: data, recipes and networks that do not go together."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from agn_hw import train
from agn_hw.recipe import TrainingError
from agn_hw.zoo.data import Split
from tests.agn_hw.training_case import RECIPE, SPLITS, network, same

IMAGES, LABELS = SPLITS.train.images, SPLITS.train.labels
NONE = Split(IMAGES[:0], LABELS[:0])


def outputs(count: int) -> nn.Module:
    model = network()
    model[6] = nn.Linear(96, count)
    return model


CASES: list[tuple[str, dict]] = [
    ("a DataLoader came", {"splits": DataLoader([1])}),
    ("a float came", {"recipe": 0.5}),
    (r"torch\.float32 came", {"train": Split(IMAGES / 255, LABELS)}),
    ("ndarray came", {"train": Split(IMAGES.numpy(), LABELS)}),
    (r"torch\.int32 came", {"train": Split(IMAGES, LABELS.int())}),
    (r"validation images.*\n.*torch\.float32", {"validation": Split(IMAGES / 255, LABELS)}),
    (r"labels \[129\] came", {"train": Split(IMAGES, LABELS[1:])}),
    (r"labels \[130, 1\] came", {"train": Split(IMAGES, LABELS[:, None])}),
    ("they go from 1 to 5", {"train": Split(IMAGES, LABELS + 1)}),
    ("they go from -1 to 3", {"train": Split(IMAGES, LABELS - 1)}),
    (r"validation labels from 0 to 4\n.*from 1 to 5", {"validation": Split(IMAGES, LABELS + 1)}),
    ("validation images\n.*there are none", {"validation": NONE}),
    ("batch 500 is more than the 130", {"recipe": replace(RECIPE, batch=500)}),
    ("batch 20 is more than the 0", {"train": NONE}),
    ("they have 8 x 7", {"train": Split(IMAGES[..., :7], LABELS), "recipe": replace(RECIPE, augment="dihedral")}),
    (r"\[130, 192\] came", {"train": Split(IMAGES.flatten(1), LABELS)}),
    (r"distill is 0\.5 and there is no teacher", {"recipe": replace(RECIPE, distill=0.5)}),
    (r"distill is 0\.0 and there is a teacher", {"teacher": network()}),
    (r"outputs \[20, 4\] came for 20 images", {"model": outputs(4)}),
    (r"outputs \[20, 6, 8, 8\] came", {"model": network()[:3]}),
    (r"its outputs are \[20, 1\]", {"teacher": outputs(1), "recipe": replace(RECIPE, distill=0.5)}),
    (r"its outputs are \[20, 6\]", {"teacher": outputs(6), "recipe": replace(RECIPE, distill=0.5)}),
]


@pytest.mark.parametrize(("message", "change"), CASES, ids=[message for message, _ in CASES])
def test_what_does_not_fit_is_refused_before_a_step(message, change, tmp_path):
    model = change.get("model", network())
    before = {name: value.clone() for name, value in model.named_parameters()}
    parts = {part: change[part] for part in ("train", "validation") if part in change}
    splits = change.get("splits", replace(SPLITS, **parts))
    with pytest.raises(TrainingError, match=message):
        train.fit(model, splits, change.get("recipe", RECIPE), teacher=change.get("teacher"), folder=tmp_path)
    assert not list(tmp_path.iterdir())
    assert all(torch.equal(value, before[name]) for name, value in model.named_parameters())


def test_a_network_does_not_teach_itself():
    model, recipe = network(), replace(RECIPE, distill=0.5)
    shares = nn.Sequential(*model[:6], nn.Linear(96, 5))
    for teacher in (model, shares):
        with pytest.raises(TrainingError, match="the model itself, or shares"):
            train.fit(model, SPLITS, recipe, teacher=teacher)
    assert same(model, network())
    model[:6].requires_grad_(False)
    train.fit(model, SPLITS, replace(recipe, epochs=0.1), teacher=shares)


def test_what_is_not_used_may_be_missing():
    model = outputs(9)  # more than the five classes
    train.fit(model, replace(SPLITS, validation=NONE), replace(RECIPE, epochs=0.1), validate=False)
    oblong = replace(SPLITS, train=Split(IMAGES[..., :7], LABELS))
    train.fit(network(), oblong, replace(RECIPE, epochs=0.1, augment="shift"), validate=False)
    flat = replace(SPLITS, train=Split(IMAGES.flatten(1), LABELS))
    train.fit(nn.Linear(192, 5), flat, replace(RECIPE, epochs=0.1, augment="none"), validate=False)
