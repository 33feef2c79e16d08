"""One layer approximate, all others exact: what it puts out on the exact network's inputs, once it is compensated."""

from __future__ import annotations

import copy

import numpy as np
import torch

from agn_hw.nn.compensation import Moments, match
from agn_hw.nn.layers import TableLayer


class OneLayer:
    """A layer and its inputs in the exact network.

    layer: stays as it is, a copy takes the tables. codes: its inputs for all images, float32. exact: the moments that
    compensation aims at.
    """

    def __init__(self, layer: TableLayer, codes: torch.Tensor, exact: Moments) -> None:
        self._layer = copy.deepcopy(layer)
        self._codes, self._exact = codes, exact

    @torch.no_grad()
    def output(self, table8: np.ndarray, gain: float) -> torch.Tensor:
        """Output codes, float32, with this folded table, int32 [256, 256], and its gain.

        Raises RuntimeError if a sum could leave int32.
        """
        layer = self._layer
        layer.set_table(table8, gain)
        accumulator = layer.accumulate(self._codes)
        match(layer, of_accumulator(accumulator, layer.channel_axis, layer.gain), self._exact)
        return layer.finish(accumulator)


def of_accumulator(accumulator: torch.Tensor, channel_axis: int, gain: torch.Tensor) -> Moments:
    """`compensation.moments` of one batch, to the bit, but two or three channels at a time.

    In float64 a whole accumulator is larger than any cache, and every pass over it waits for memory. A channel by
    itself would be summed in another order where torch has several threads.
    """
    channels = accumulator.movedim(channel_axis, 0).flatten(1)
    mean, std = [], []
    for few in channels.tensor_split(max(len(channels) // 2, 1)):
        products = few.double().div_(gain)
        mean.append(products.sum(1) / products.shape[1])
        products.sub_(mean[-1][:, None]).square_()
        std.append((products.sum(1) / products.shape[1]).sqrt())
    return Moments(torch.cat(mean), torch.cat(std))
