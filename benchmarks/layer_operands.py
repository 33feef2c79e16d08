"""What the layers of a quantised network multiply, as matrices and as patterns on a multiplier's ports."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

import agn_hw
from agn_hw.mapping import SIGN_MAGNITUDE, Mapping
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.nn.products import TableConv2d
from agn_hw.zoo import data
from agn_hw.zoo.train import trained
from benchmarks.operands import Shape, real_operands
from lut_gen.energy.data_order import DataOrder
from lut_gen.energy.transitions import Transitions, of_product

MODEL, DATA, IMAGES = "resnet8", "digits", 32


@dataclass(frozen=True)
class Product:
    """One layer, y[m, n] = sum over k of x[m, k] w[n, k]: codes x uint8 [M, K], weight bytes w uint8 [N, K]."""

    name: str
    x: np.ndarray
    w: np.ndarray

    @property
    def macs(self) -> int:
        return len(self.x) * self.w.size

    def patterns(self, mapping: Mapping, weight_bits: int) -> tuple[np.ndarray, np.ndarray]:
        """Patterns on the activation's and on the weight's port, the sign above the weight's magnitude, int64."""
        signs = mapping.weight_negative.astype(np.int64) << weight_bits
        return mapping.activation_codes[self.x].astype(np.int64), (mapping.weight_codes + signs)[self.w]


def half_normal() -> list[Product]:
    """Operands of the kernel benchmarks: ReLU of a normal, half of it zero, and normal weights."""
    x, w = real_operands(Shape(4096, 144, 64), np.random.default_rng(0))
    return [Product("half_normal", x.numpy(), w.numpy())]


@torch.no_grad()
def network(cache: Path) -> list[Product]:
    """The layers of the trained and quantised zoo network on calibration images; rows are output pixels in order."""
    splits = data.load(DATA, 0, cache)
    images = data.to_float(splits.calibration.images)
    model = agn_hw.quantize(trained(MODEL, DATA, splits, cache, 0), [images])
    found: dict[str, Product] = {}
    hooks = []
    for name, layer in table_layers(model).items():

        def hook(layer: Any, inputs: tuple, output: torch.Tensor, name: str = name) -> None:
            found[name] = _product(name, layer, inputs[0])

        hooks.append(layer.register_forward_hook(hook))
    model(images[:IMAGES])
    for handle in hooks:
        handle.remove()
    return [found[name] for name in table_layers(model)]


def _product(name: str, layer: TableLayer, codes: torch.Tensor) -> Product:
    rows = codes
    if isinstance(layer, TableConv2d):
        size = layer.weight.shape[2:]
        unfolded = F.unfold(codes, size, layer.dilation, layer.padding, layer.stride)  # [B, K, pixels]
        rows = unfolded.transpose(1, 2).reshape(-1, unfolded.shape[1])
    weights = layer.weight_codes().reshape(len(layer.weight), -1).to(torch.int8).view(torch.uint8)
    return Product(name, rows.to(torch.uint8).numpy(), weights.numpy())


def by_input(product: Product, mapping: Mapping, bits: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of the patterns on both ports for each k, int64 [K, 2**activation bits] and [K, 2**weight bits].

    bits: of the activation's and the weight's port; a sign bit counts with the latter. Their sums over k are the
    layer's marginals, their product over k its joint histogram.
    """
    x, w = product.patterns(mapping, bits[1] - (mapping.encoding == SIGN_MAGNITUDE))
    return _counts(x, 2 ** bits[0]), _counts(w, 2 ** bits[1])


def _counts(patterns: np.ndarray, size: int) -> np.ndarray:
    """How often each pattern stands in each column of [rows, K]: int64 [K, size]."""
    depth = patterns.shape[1]
    return np.bincount((patterns + size * np.arange(depth)).ravel(), minlength=size * depth).reshape(depth, size)


def steps(products: list[Product], mapping: Mapping, weight_bits: int, order: DataOrder, count: int) -> Transitions:
    """About `count` steps of all layers in this data order, each layer's share that of its multiplications."""
    rng = np.random.default_rng(1)
    total = sum(product.macs for product in products)
    found = []
    for product in products:
        patterns = product.patterns(mapping, weight_bits)
        found.append(of_product(*patterns, order, max(round(count * product.macs / total), 1), rng))
    shuffled = rng.permutation(sum(map(len, found)))  # so that groups of 64 steps are alike
    a0, b0, a1, b1 = (
        np.concatenate([getattr(part, field) for part in found])[shuffled]
        for field in ("a_before", "b_before", "a_after", "b_after")
    )
    return Transitions(a0, b0, a1, b1)
