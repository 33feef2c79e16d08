"""The training loop: what it computes and what it refuses."""

import math
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from agn_hw import checkpoint, train
from agn_hw.recipe import Recipe, TrainingError, trained_parameters
from agn_hw.zoo.data import Split, to_float
from tests.agn_hw.training_case import RECIPE, SPLITS, log_of, network


def test_distillation_is_the_formula_of_the_paper():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    student.requires_grad_()
    loss = train.distillation(student, teacher, 3.0)
    p, q = F.softmax(teacher / 3, 1), F.softmax(student / 3, 1)
    assert loss.item() == pytest.approx(9 * (p * (p / q).log()).sum(1).mean().item(), rel=1e-12)
    loss.backward()
    torch.testing.assert_close(student.grad, 3 * (q - p).detach() / 7)  # T^2 * (q - p) / T, a mean over 7


def test_a_step_with_a_teacher_is_the_weighted_sum_of_both_losses():
    recipe = Recipe(epochs=1, batch=130, peak_rate=0.2, weight_decay=0.01, momentum=0, schedule="cosine", distill=0.3)
    student, teacher = nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), nn.Sequential(nn.Flatten(), nn.Linear(192, 5))
    weight = student[1].weight.detach().clone()
    x = to_float(SPLITS.train.images).flatten(1)
    with torch.no_grad():
        logits, wanted = student(x), teacher(x)
    target = F.one_hot(SPLITS.train.labels, 5)
    slope = 0.7 * (F.softmax(logits, 1) - target) + 0.3 * 4 * (F.softmax(logits / 4, 1) - F.softmax(wanted / 4, 1))
    before = [parameter.clone() for parameter in teacher.parameters()]
    teacher.train()
    train.fit(student, SPLITS, recipe, teacher=teacher)
    torch.testing.assert_close(student[1].weight.detach(), weight - 0.2 * (slope.T @ x / 130 + 0.01 * weight))
    assert teacher.training and all(torch.equal(*pair) for pair in zip(before, teacher.parameters(), strict=True))


class Scaled(nn.Module):
    """A linear layer between learned and fixed step sizes, as quantised layers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, 192) / 50)
        self.bias = nn.Parameter(torch.ones(5))
        self.out_scale = nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
        self.weight_scale = nn.Parameter(torch.full((5,), 0.25, dtype=torch.float64))
        self.in_scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (F.linear(x.flatten(1), self.weight, self.bias) * self.weight_scale * self.out_scale).float()


def test_step_sizes_have_a_rate_of_their_own_and_do_not_decay():
    model = Scaled()
    run = train._Run(model, SPLITS, replace(RECIPE, step_rate=0.5), None)
    found = [(len(group["params"]), group["weight_decay"], group["max_lr"]) for group in run.optimizer.param_groups]
    assert found == [(1, 5e-4, 0.05), (1, 0.0, 0.05), (2, 0.0, 0.025)]
    train.fit(model, SPLITS, RECIPE)
    assert model.in_scale.item() == 2 and model.out_scale.item() != 0.5 and model.out_scale.dtype == torch.float64


def test_a_step_size_moves_by_the_sign_of_its_gradient_relative_to_its_size():
    model, recipe = Scaled(), Recipe(epochs=1, batch=130, peak_rate=0.2, momentum=0, schedule="cosine", step_rate=0.5)
    F.cross_entropy(model(to_float(SPLITS.train.images)), SPLITS.train.labels).backward()
    signs = model.weight_scale.grad.sign()
    train.fit(model, SPLITS, recipe)
    torch.testing.assert_close(model.weight_scale.detach(), 0.25 * (1 - 0.1 * signs))
    assert signs.abs().min() == 1


def test_all_parameters_of_a_float_network_decay():
    weights, biases, scales = trained_parameters(network())
    assert len(weights) == 6 and not biases and not scales


def test_step_sizes_stay_positive():
    model = Scaled()
    train.fit(model, SPLITS, replace(RECIPE, peak_rate=0.9, step_rate=1e4))
    assert model.out_scale.item() >= 0.5e-3 and bool((model.weight_scale >= 0.25e-3).all())
    assert 0.5e-3 in (model.out_scale.item(), *(2 * model.weight_scale).tolist())


def test_half_an_epoch_and_the_rates():
    history = train.fit(network(), SPLITS, replace(RECIPE, epochs=0.5, schedule="cosine"))
    (epoch,) = history
    assert (epoch.epoch, epoch.step) == (0.5, 3) and epoch.rate == pytest.approx(0, abs=1e-12)
    assert epoch.validation_accuracy == pytest.approx(round(40 * epoch.validation_accuracy) / 40)


def test_training_learns_and_leaves_the_random_state():
    before, model = torch.get_rng_state(), network()
    history = train.fit(model, SPLITS, replace(RECIPE, epochs=30, augment="none"), validate=False)
    assert history[-1].train_accuracy > 0.7 > history[0].train_accuracy and history[-1].validation_accuracy is None
    assert torch.equal(before, torch.get_rng_state()) and not model.training


class Diverging(nn.Module):
    """Its logits are not a number from the tenth step on."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.left = network(), 9

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= self.training
        return self.inner(x) if self.left >= 0 else self.inner(x) * math.nan


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path):
    with pytest.raises(TrainingError, match=r"nan in epoch 2, step 10 of 15"):
        train.fit(Diverging(), SPLITS, RECIPE, folder=tmp_path)
    state = checkpoint.read_tensors(tmp_path / checkpoint.CHECKPOINT)["state"]
    assert state["step"] == 6 and len(log_of(tmp_path)) == 1


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    model = network()
    with torch.no_grad():
        model[6].bias[0] = -math.inf  # the loss is finite until this class comes
    only = SPLITS.train.labels != 0
    splits = replace(SPLITS, train=Split(SPLITS.train.images[only], SPLITS.train.labels[only]))
    with pytest.raises(TrainingError, match="weights are not finite"):
        train.fit(model, splits, replace(RECIPE, weight_decay=0), folder=tmp_path, checkpoint_seconds=0)
    assert not (tmp_path / checkpoint.CHECKPOINT).exists()


@pytest.mark.parametrize(("change", "message"), [
    ({"epochs": 0}, "epochs above 0"),
    ({"distill": 1.5}, "distill from 0 to 1"),
    ({"schedule": "step"}, "one-cycle, cosine"),
    ({"augment": "cutout"}, "crop-flip"),
    ({"momentum": 0.97}, "momentum from 0"),
    ({"epochs": math.inf}, "epochs, a finite number"),
    ({"epochs": "2"}, "epochs, a finite number"),
    ({"peak_rate": math.nan}, "peak_rate, a finite number"),
    ({"batch": 2.5}, "batch, a whole number"),
    ({"seed": -1}, "seed of 0 or more"),
    ({"weight_decay": -5}, "weight_decay of 0 or more"),
    ({"step_rate": -1}, "step_rate of 0 or more"),
], ids=str)
def test_recipes_out_of_range_are_refused(change, message):
    with pytest.raises(TrainingError, match=message):
        replace(RECIPE, **change)


def test_settings_that_do_not_fit_together_are_refused(tmp_path, monkeypatch):
    with pytest.raises(TrainingError, match="no parameter requires a gradient"):
        train.fit(network().requires_grad_(False), SPLITS, RECIPE)
    with pytest.raises(TrainingError, match="a folder for TensorBoard"):
        train.fit(network(), SPLITS, RECIPE, tensorboard=True)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(checkpoint.AgnError, match="pip install tensorboard"):
        train.fit(network(), SPLITS, RECIPE, folder=tmp_path, tensorboard=True)
