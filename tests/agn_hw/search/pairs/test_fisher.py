"""Losses from gradients: against closed forms, against a plain backward pass, against measured losses."""

import copy

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from agn_hw.codes import SIGNED
from agn_hw.conversion.quantize import quantize
from agn_hw.mapping import Mapping, default
from agn_hw.nn.layers import table_layers
from agn_hw.search.pairs.fisher import Fisher, _directions
from agn_hw.search.pairs.one_layer import OneLayer
from agn_hw.search.pairs.sensitivity import Sensitivity
from tests.agn_hw.networks import images, quantized_resnet
from tests.agn_hw.tables import exact_lut, multiplier, random_lut, truncated_lut

X = images(100, seed=13)  # more than one backward pass holds


def softmax_regression(classes: int, seed: int = 0):
    """A quantised linear layer [B, 6] -> logits [B, classes], not too sure of itself."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(6, classes)).eval()
        x = torch.randn(90, 6)
    return quantize(model, [x]), x


def signed(made) -> Mapping:
    """The default mapping for activations of both signs."""
    return default(made, codes=SIGNED)


def logits_change(model, x, made, mapping) -> torch.Tensor:
    """Change of the logits by the compensated table, float64 [B, classes]."""
    (name, layer), = table_layers(model).items()
    fisher = Fisher(model, x, draws=1)
    codes = model.get_submodule("input_codes")(x)
    exact = layer.finish(layer.accumulate(codes)).double()
    changed = OneLayer(layer, codes, fisher.exact[name]).output(mapping.table8(made.lut), mapping.gain)
    return (changed - exact) * layer.out_scale


@torch.no_grad()
def gauss_newton(model, x, made, mapping) -> float:
    """1/2 E[d' (diag p - p p') d] of a linear softmax network: its exact curvature."""
    p, d = model(x).double().softmax(1), logits_change(model, x, made, mapping)
    return 0.5 * float(((p * d * d).sum(1) - (p * d).sum(1) ** 2).mean())


MADE = multiplier(truncated_lut(5))


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_classes_are_exact_whatever_is_drawn(draws, seed):
    model, x = softmax_regression(2)
    found = Fisher(model, x, draws, seed).loss("0", MADE, signed(MADE))
    assert found == pytest.approx(gauss_newton(model, x, MADE, signed(MADE)), rel=1e-4) and found > 1e-6


def test_many_draws_reach_the_closed_form():
    model, x = softmax_regression(5)
    expected = gauss_newton(model, x, MADE, signed(MADE))
    many = Fisher(model, x, draws=2000).loss("0", MADE, signed(MADE))
    assert many == pytest.approx(expected, rel=0.02)
    few = [Fisher(model, x, draws=4, seed=seed).loss("0", MADE, signed(MADE)) for seed in range(30)]
    assert sum(few) / len(few) == pytest.approx(expected, rel=0.05)
    assert len(set(few)) == 30


def test_directions_have_the_curvature_of_the_divergence():
    logits = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    logits = torch.cat([logits, torch.tensor([[20.0, 0, 1, 2], [1e4, 0, 0, 0]], dtype=torch.float64)])
    p = logits.softmax(1)
    curvature = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    found = _directions(logits, 40_000, torch.Generator().manual_seed(0))
    assert found.isfinite().all() and not found[:, 4].any()
    mean = torch.einsum("dbi,dbj->bij", found, found) / len(found)
    size = curvature.flatten(1).norm(dim=1).clamp_min(1e-300)
    assert ((mean - curvature).flatten(1).norm(dim=1) / size).max() < 0.03


def test_is_the_divergence_of_small_changes():
    model, x = softmax_regression(4)
    small = multiplier(exact_lut() + random_lut(3, 40))
    direct = Sensitivity(model, x).divergence("0", small, signed(small))
    assert gauss_newton(model, x, small, signed(small)) == pytest.approx(direct, rel=0.05) and direct > 1e-9
    assert Fisher(model, x, draws=1000).loss("0", small, signed(small)) == pytest.approx(direct, rel=0.1)


def test_gradients_are_those_of_a_plain_backward_pass():
    model = quantized_resnet()
    fisher = Fisher(model, X, draws=1, seed=5)
    logits = model(X)
    for name in ("stem.conv", "stage2.conv2", "fc"):
        changed = copy.deepcopy(model)
        kept = {}

        def hook(layer, inputs, output, kept=kept):
            kept["output"] = output.detach().requires_grad_()
            return kept["output"]

        table_layers(changed)[name].register_forward_hook(hook)
        again = changed(X)
        assert torch.equal(again, logits)
        rows = torch.eye(logits.shape[1]) - logits.softmax(1)[:, None]
        by_label = torch.stack([torch.autograd.grad(again, kept["output"], row, retain_graph=True)[0].flatten(1)
                                for row in rows.transpose(0, 1)], 1)  # (images, labels, outputs)
        found = fisher._gradients[name][:, 0]
        cosine = nn.functional.cosine_similarity(by_label, found[:, None], dim=2).amax(1)
        sure = found.norm(dim=1) > 1e-6
        assert sure.float().mean() > 0.5 and cosine[sure].min() > 0.999


def test_agrees_with_measured_losses():
    model = quantized_resnet()
    fisher, sensitivity = Fisher(model, X), Sensitivity(model, X)
    made = [multiplier(truncated_lut(dropped)) for dropped in (2, 4, 5, 6, 7)]
    made += [multiplier(exact_lut() + random_lut(1, size)) for size in (50, 500, 4000)]
    pairs = [(name, one, default(one)) for name in table_layers(model) for one in made]
    predicted = torch.tensor([fisher.loss(*pair) for pair in pairs])
    measured = torch.tensor(sensitivity.divergences(pairs))
    assert spearmanr(predicted, measured)[0] > 0.95
    assert 0.3 < float((predicted / measured.clamp_min(1e-9)).median()) < 2


def test_same_seed_same_losses_and_the_model_stays():
    model = quantized_resnet()
    before = copy.deepcopy(model.state_dict())
    asked = [parameter.requires_grad for parameter in model.parameters()]
    losses = [Fisher(model, X, seed=seed).loss("stage1.conv1", MADE, default(MADE)) for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]
    assert [parameter.requires_grad for parameter in model.parameters()] == asked
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]) if isinstance(value, torch.Tensor) else value == before[name]


def test_frozen_networks_and_no_grad_are_no_obstacle():
    model = quantized_resnet()
    expected = Fisher(model, X).loss("fc", MADE, default(MADE))
    model.requires_grad_(False)
    with torch.no_grad():
        assert Fisher(model, X).loss("fc", MADE, default(MADE)) == expected


def test_exact_table_loses_nothing():
    made = multiplier(exact_lut())
    assert Fisher(quantized_resnet(), X).loss("stage3.conv1", made, default(made)) < 1e-4


def test_sums_beyond_int32_are_refused():
    impossible = multiplier(torch.full((256, 256), 2**31 - 1).numpy())
    with pytest.raises(RuntimeError, match="int32"):
        Fisher(quantized_resnet(), X).loss("fc", impossible, default(impossible))
