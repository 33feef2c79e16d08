"""Learned noise: how much Gaussian noise each layer bears, learned together with the weights; then multipliers by it.

The method of Trommer, Waschneck and Kumar, "Combining gradients and probabilities for heterogeneous approximation of
neural networks", ICCAD 2022, on our integer networks. A layer's accumulator y becomes y + sigma * std(y) * n, with n
standard normal, std over the whole batch and all channels, and

    loss = cross-entropy - weight * sum over layers of share * min(|sigma|, LARGEST_SIGMA)

where share is the layer's part of all multiplications. Each layer then takes the cheapest multiplier whose predicted
error is no larger than its noise. The weights move so that the network learns to bear the noise; they are thrown away
with the copy that was trained, as nothing but sigma is looked for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx, nn
from torch.nn import functional as F

from agn_hw.nn.compensation import Moments
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.requantize import round_half_up
from agn_hw.recipe import Recipe, TrainingError, optimizer, trained_parameters
from agn_hw.zoo.data import Split, to_float

FIRST_SIGMA, LARGEST_SIGMA = 0.1, 0.5
WEIGHTS = (0.03, 0.05, 0.08, 0.12, 0.18, 0.28, 0.42, 0.65, 1.0, 1.5, 2.4, 4.0)
"""The usual sweep, from hardly any noise to as much as may be."""
WEIGHT_RATE = 3e-4
"""Peak rate of the network's weights: that of retraining."""
_SIGMA_WAY, _FEW = 2.0, 40
"""Adam's peak rate times the steps of a run: its cosine lets a sigma go half as far. The rate of a run of fewer than
_FEW steps is that of _FEW."""
_TAIL = 4
"""The result's loss and accuracy are means over the last quarter of the steps."""

Optimizer = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]
"""With its learning rate."""


@dataclass(frozen=True)
class Learned:
    """The noise of each layer, 0..LARGEST_SIGMA, relative to the deviation of its accumulator, for one weight.

    loss, accuracy: cross-entropy in nats and share of right answers of the noisy network, on training batches, means
    over the last quarter of the run.
    """

    weight: float
    sigma: dict[str, float]
    loss: float
    accuracy: float


class Noisy(nn.Module):
    """An exact layer whose accumulator gets noise. layer: borrowed; sigma: float32, a parameter."""

    def __init__(self, layer: TableLayer, generator: torch.Generator) -> None:
        super().__init__()
        self.layer, self.generator = layer, generator
        self.sigma = nn.Parameter(torch.full((), FIRST_SIGMA, device=layer.weight.device))

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        sums = self.layer.accumulate(codes)
        n = torch.randn(sums.shape, generator=self.generator, device=sums.device, dtype=sums.dtype)
        return self.layer.finish(round_half_up(noised(sums, self.sigma, n)))


def noised(sums: torch.Tensor, sigma: torch.Tensor, n: torch.Tensor) -> torch.Tensor:
    """sums + sigma * std(sums) * n, one deviation for the whole tensor; the gradient goes through it too."""
    deviation = (sums.var(correction=0) + 1e-12).sqrt()  # of a constant the root has no derivative
    return torch.addcmul(sums, n, sigma * deviation)


def learn(
    model: fx.GraphModule,
    split: Split,
    macs: dict[str, int],
    weight: float,
    epochs: float,
    seed: int,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Learned:
    """Learns the noise of every layer of a copy of `model`, a quantised network, with exact products.

    split: training images. macs: multiplications an image of each layer. weight: of the noise in the loss, 0 or more.
    epochs may be a fraction. step(done, total) is told of progress. The same arguments give the same sigmas, for a
    fixed number of threads. Raises TrainingError for weights out of range, layers that `macs` does not know, networks
    with nothing to train and losses that are not finite.
    """
    if not 0 <= weight < math.inf:
        raise TrainingError("a weight of the noise of 0 or more", f"{weight} came", "take one of noise.WEIGHTS")
    recipe = Recipe(epochs, min(100, len(split)), WEIGHT_RATE, weight_decay=0.0, seed=seed)
    network = copy.deepcopy(model).train()
    generator = torch.Generator(next(network.parameters()).device).manual_seed(seed)
    shares, parameters = _shares(network, macs), trained_parameters(network)
    noise = _add_noise(network, generator)
    total = max(1, round(epochs * (len(split) // recipe.batch)))
    optimizers = [optimizer(recipe, parameters, total), _of_sigmas(noise, total)]
    seen: list[tuple[float, float]] = []
    with torch.random.fork_rng(devices=[]):  # dropout draws from the global generator
        torch.default_generator.manual_seed(seed)
        for done, chosen in enumerate(_batches(len(split), recipe.batch, total, seed), start=1):
            x, y = (part[chosen].to(generator.device) for part in (split.images, split.labels))
            logits = network(to_float(x))
            loss = F.cross_entropy(logits, y)
            bonus = sum(shares[name] * layer.sigma.abs().clamp(max=LARGEST_SIGMA) for name, layer in noise.items())
            seen.append((_finite(loss), float((logits.argmax(1) == y).double().mean())))
            _descend(loss - weight * bonus, optimizers)
            step(done, total)
    last = seen[-max(1, total // _TAIL) :]
    sigma = {name: min(abs(layer.sigma.item()), LARGEST_SIGMA) for name, layer in noise.items()}
    return Learned(weight, sigma, *(math.fsum(values) / len(last) for values in zip(*last, strict=True)))


def _of_sigmas(noise: dict[str, Noisy], total: int) -> Optimizer:
    """Adam for the sigmas: their gradients, shares of multiplications among them, differ by orders of magnitude."""
    adam = torch.optim.Adam([layer.sigma for layer in noise.values()], lr=_SIGMA_WAY / max(total, _FEW))
    return adam, torch.optim.lr_scheduler.CosineAnnealingLR(adam, total)


def _descend(loss: torch.Tensor, optimizers: list[Optimizer]) -> None:
    for one, _ in optimizers:
        one.zero_grad()
    loss.backward()
    for one, schedule in optimizers:
        one.step()
        schedule.step()


def _shares(network: fx.GraphModule, macs: dict[str, int]) -> dict[str, float]:
    """Of all multiplications, by layer."""
    layers = table_layers(network)
    if missing := [name for name in layers if name not in macs]:
        raise TrainingError("the multiplications of every layer", f"{missing[0]} has none", "pass those of `record`")
    total = sum(macs[name] for name in layers)
    return {name: macs[name] / total for name in layers}


def _add_noise(network: fx.GraphModule, generator: torch.Generator) -> dict[str, Noisy]:
    """Puts noise into every layer of the network, whose products become exact ones."""
    noise = {}
    for name, layer in table_layers(network).items():
        layer.set_table(None)
        noise[name] = Noisy(layer, generator)
        network.set_submodule(name, noise[name])
    return noise


def _batches(count: int, batch: int, total: int, seed: int) -> list[torch.Tensor]:
    """Indices of `total` random full batches, epoch by epoch."""
    generator = torch.Generator().manual_seed(seed)
    batches: list[torch.Tensor] = []
    while len(batches) < total:
        order = torch.randperm(count, generator=generator)
        batches += [part for part in order.split(batch) if len(part) == batch]
    return batches[:total]


def _finite(loss: torch.Tensor) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError("a finite loss", f"it is {value}", "take a smaller weight of the noise")
    return value


def matched(
    sigma: dict[str, float], errors: dict[str, dict[str, float]], energies: dict[str, dict[str, float]]
) -> dict[str, str]:
    """The cheapest multiplier of each layer whose error is at most the layer's noise; the least error where none is.

    errors: by layer and multiplier, the standard deviation of an output's error relative to that of the exact outputs
    (`spread` of its moments). energies: of the same pairs, any unit. Of equals the one of least error, or energy.
    """
    names = {}
    for layer, limit in sigma.items():
        own, cost = errors[layer], energies[layer]
        good = [name for name in own if own[name] <= limit]
        if good:
            names[layer] = min(good, key=lambda name: (cost[name], own[name], name))
        else:
            names[layer] = min(own, key=lambda name: (own[name], cost[name], name))
    return names


def spread(moments: Moments) -> float:
    """Standard deviation of a layer's accumulator over all channels together, which sigma is relative to."""
    return float((moments.std.square().mean() + moments.mean.var(correction=0)).sqrt())
