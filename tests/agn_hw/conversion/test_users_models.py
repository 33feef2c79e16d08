"""What users write: hooks, keywords, fixed kernels, float64, more arguments; converted right, or named, or refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import agn_hw
from agn_hw.conversion.quantize import ModelError
from agn_hw.mapping import default
from agn_hw.nn.layers import table_layers
from tests.agn_hw.tables import exact_lut, multiplier

X = torch.randn(8, 3, 10, 12, generator=torch.Generator().manual_seed(1))


class Model(nn.Module):
    """A convolution, what a function makes of it, and a linear layer on four channels."""

    def __init__(self, between, kernel=None):
        super().__init__()
        torch.manual_seed(0)
        self.c, self.fc, self.g = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(4, 5), nn.Parameter(torch.tensor(0.3))
        self.register_buffer("k", torch.randn(3, 1, 3, 3) if kernel is None else kernel)
        self.between = between

    def forward(self, x):
        return self.between(self, x)


@torch.no_grad()
def error(model: nn.Module, x: torch.Tensor = X) -> float:
    """Of the quantised model, relative."""
    found, wanted = agn_hw.quantize(model, [x])(x), model.eval()(x)
    assert found.shape == wanted.shape
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), 1, (0, 2), -1], ids=str)
@pytest.mark.parametrize("keepdim", [False, True])
def test_means_over_any_axes(axes, keepdim):
    model = Model(lambda m, x: m.c(m.c(x)[:, :3].unflatten(1, (3, 1)).mean(2)).unflatten(1, (2, 4)).mean(axes, keepdim))
    assert error(model) < 0.03
    assert not agn_hw.kept_exact(agn_hw.quantize(model, [X]))


def test_means_of_three_axes():
    model = Model(lambda m, x: m.fc(m.c(x).flatten(2).transpose(1, 2)[..., :4]).mean((-2, -1)))
    assert error(model) < 0.05


def test_hooked_layers_stay_and_are_named():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    model[0].register_forward_hook(lambda module, inputs, output: output * 3)
    q = agn_hw.quantize(model, [X])
    assert agn_hw.kept_exact(q)["0"] == "it has forward hooks" and list(table_layers(q)) == ["2"]
    assert error(model) < 0.03
    outer = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)))
    outer[0].register_forward_hook(lambda module, inputs, output: output * 3)
    assert error(outer) < 0.03  # hooks of what is traced through are traced too


def test_a_subclass_with_a_forward_of_its_own_is_not_taken_for_its_parent():
    class Act(nn.ReLU):
        def forward(self, x):
            return x * 2 if float(x.mean()) > -1e9 else x

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Act(), nn.Conv2d(4, 4, 3))
    assert error(model) < 0.03 and "1" in agn_hw.kept_exact(agn_hw.quantize(model, [X]))


@pytest.mark.parametrize("functional", [
    lambda m, x: m.c(F.conv2d(x, m.k, groups=3, padding=1)),
    lambda m, x: m.c(input=x),
    lambda m, x: m.c(x) * m.g.exp(),
    lambda m, x: F.batch_norm(m.fc(m.c(x)[:, :4].mean((2, 3))), torch.zeros(5), torch.ones(5)),
], ids=["fixed kernel", "keyword", "parameter", "batch_norm of rows"])  # fmt: skip
def test_functional_styles(functional):
    assert error(Model(functional)) < 0.05


def test_a_fixed_kernel_stays_fixed_and_frozen_layers_stay_frozen():
    model = Model(lambda m, x: m.c(F.conv2d(x, m.k, groups=3, padding=1)))
    layers = table_layers(agn_hw.quantize(model, [X]))
    fixed = [name for name, layer in layers.items() if not layer.weight.requires_grad]
    assert len(layers) == 2 and fixed == [name for name in layers if name != "c"]
    frozen = nn.Sequential(nn.Conv2d(3, 4, 3).requires_grad_(False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    first, last = table_layers(agn_hw.quantize(frozen, [X])).values()
    assert not first.weight.requires_grad and last.weight.requires_grad and last.bias.requires_grad


def test_functions_on_the_input_are_named_too():
    model = Model(lambda m, x: m.c((x - 0.5) / 0.25))
    assert set(agn_hw.kept_exact(agn_hw.quantize(model, [X])).values()) == {
        "no integer form is known for sub", "no integer form is known for truediv"
    }  # fmt: skip


def test_further_arguments_take_their_defaults():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.c = nn.Conv2d(3, 4, 3)

        def forward(self, x, mask=None, features=False):
            y = self.c(x)
            if mask is not None:
                y = y * mask
            return (y, x) if features else y

    assert error(Masked()) < 0.03


def test_every_output_is_compared():
    def aliased(m, x):
        h = m.c(x)
        v = h[:, :3]
        v += 1.0
        return m.c(h[:, :3]), x.shape[0]

    with pytest.raises(ModelError, match=r"'Model'.*other outputs"):
        agn_hw.quantize(Model(aliased), [X])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_float_types_become_float32(dtype):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid()).to(dtype).eval()
    q = agn_hw.quantize(model, [X.to(dtype)])
    wanted = model(X.to(dtype)).float()
    assert (q(X) - wanted).norm() < 0.03 * wanted.norm() and q.get_submodule("0").weight.dtype == torch.float32


def test_single_layers_are_models():
    assert error(nn.Conv1d(3, 4, 5, padding=2), X[:, :, 0]) < 0.03
    assert error(nn.Linear(12, 4)) < 0.03


def test_inputs_without_a_batch_are_refused():
    with pytest.raises(ModelError, match="batch as first axis"):
        agn_hw.quantize(nn.Linear(12, 4), [X[0, 0, 0]])
    with pytest.raises(ModelError, match="batch as first axis"):
        agn_hw.quantize(nn.Conv2d(3, 4, 3), [X[0]])


def test_models_that_cannot_be_copied_are_refused():
    model = nn.Linear(12, 4)
    model.computed = model.weight * 2
    with pytest.raises(ModelError, match="can be copied"):
        agn_hw.quantize(model, [X])


def test_sums_that_could_leave_int32_are_refused_where_the_multiplier_is_chosen():
    model = nn.Sequential(nn.Flatten(), nn.Linear(40000, 2))
    q = agn_hw.quantize(model, [torch.rand(2, 40000)])
    with pytest.raises(ModelError, match=r"int32 in '1'"):
        agn_hw.approximate(q, multiplier(exact_lut()))
    narrow = multiplier(exact_lut(4, 4))
    assert agn_hw.approximate(q, {"1": (narrow, default(narrow))})(torch.rand(2, 40000)).isfinite().all()


def test_weights_far_smaller_than_the_bias():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    with torch.no_grad():
        model[2].weight *= 1e-9
        model[2].bias += 1
    assert error(model) < 0.01
