"""The layers that multiply: convolutions in one and two dimensions, linear layers."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from agn_hw.kernels import autograd, backend, op
from agn_hw.nn.kept import Constants
from agn_hw.nn.layers import TableLayer


class TableConv2d(TableLayer):
    """Convolution [B, C, H, W] -> [B, N, H', W'] on codes.

    Padding goes through the table: code 0, or with another padding mode the codes that the mode says. `padding` is
    what the kernels add around the image; what they cannot (other modes, one side more than the other) `padded` does.
    """

    def __init__(self, source: nn.Conv1d | nn.Conv2d) -> None:
        super().__init__(source.weight, source.bias)
        self.groups = source.groups
        self.stride, self.dilation = list(source.stride), list(source.dilation)
        sides = _sides(source)
        self.padding_mode = source.padding_mode
        by_kernel = self.padding_mode == "zeros" and all(low == high for low, high in sides)
        self.padding = [low if by_kernel else 0 for low, _ in sides]
        self.explicit = [] if by_kernel else [size for pair in reversed(sides) for size in pair]
        if len(sides) == 1:
            self._add_height()

    def _add_height(self) -> None:
        raise NotImplementedError

    def padded(self, codes: torch.Tensor) -> torch.Tensor:
        if not any(self.explicit):
            return codes
        if self.padding_mode == "zeros":
            return F.pad(codes, self.explicit)
        return F.pad(codes, self.explicit, mode=self.padding_mode)

    def geometry(self) -> tuple:
        return self.stride, self.padding, self.dilation, self.groups

    def _prepare(self, weights: torch.Tensor, lut: torch.Tensor, split: backend.Prepared) -> backend.Prepared:
        return backend.prepare(weights, lut, op.geometry_of(*self.geometry()), split)

    def integer_sums(self, codes: torch.Tensor, weights: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        return op.lut_conv2d(codes, weights, lut, *self.geometry())

    def windows(self, codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        above, left = self.padding
        fields = F.pad(codes, (left, left, above, above))
        for axis, size in enumerate((1, *self.weight.shape[2:])[-2:]):
            fields = fields.unfold(2 + axis, self.dilation[axis] * (size - 1) + 1, self.stride[axis])
        fields = fields[..., :: self.dilation[0], :: self.dilation[1]]  # [B, C, H', W', kh, kw]
        parts = fields.permute(0, 2, 3, 1, 4, 5).chunk(self.groups, dim=3)
        return tuple(part.flatten(3).flatten(0, 2) for part in parts)

    def placed(self, sums: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        kernel = torch.Size((1, *self.weight.shape[2:])[-2:])
        size = op.geometry_of(*self.geometry()).output_size(codes.shape, kernel)
        return sums.unflatten(0, (len(codes), *size)).permute(0, 3, 1, 2).contiguous()

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor, kept: backend.Prepared) -> torch.Tensor:
        lut, geometry = self.product_table(), self.geometry()
        return autograd.conv2d_sums(codes, weights, lut, kept, self.gain, self.gradient(), *geometry)

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        return autograd.conv2d(codes, *self._arguments(constants), *self.geometry())

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return F.conv2d(codes, weights, None, self.stride, self.padding, self.dilation, self.groups)


class TableConv1d(TableConv2d):
    """Convolution [B, C, L] -> [B, N, L'] on codes: one in two dimensions of height one."""

    def _add_height(self) -> None:
        self.stride, self.dilation, self.padding = [1, *self.stride], [1, *self.dilation], [0, *self.padding]

    def _prepare(self, weights: torch.Tensor, lut: torch.Tensor, split: backend.Prepared) -> backend.Prepared:
        return super()._prepare(weights.unsqueeze(2), lut, split)

    def integer_sums(self, codes: torch.Tensor, weights: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        return super().integer_sums(codes.unsqueeze(2), weights.unsqueeze(2), lut).squeeze(2)

    def windows(self, codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return super().windows(codes.unsqueeze(2))

    def placed(self, sums: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return super().placed(sums, codes.unsqueeze(2)).squeeze(2)

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor, kept: backend.Prepared) -> torch.Tensor:
        return super()._table_sums(codes.unsqueeze(2), weights.unsqueeze(2), kept).squeeze(2)

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        constants = constants._replace(weights=constants.weights.unsqueeze(2))
        return super()._table_layer(codes.unsqueeze(2), constants).squeeze(2)

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return super()._exact_product(codes.unsqueeze(2), weights.unsqueeze(2)).squeeze(2)


def _sides(source: nn.Conv1d | nn.Conv2d) -> list[tuple[int, int]]:
    """Padding before and after, of each axis. 'same' puts the odd one after, as torch does."""
    if source.padding == "same":
        total = [d * (k - 1) for d, k in zip(source.dilation, source.kernel_size, strict=True)]
        return [(t // 2, t - t // 2) for t in total]
    if source.padding == "valid":
        return [(0, 0)] * len(source.kernel_size)
    return [(int(p), int(p)) for p in source.padding]


class TableLinear(TableLayer):
    """Linear layer [..., K] -> [..., N] on codes."""

    channel_axis = -1

    def __init__(self, source: nn.Linear) -> None:
        super().__init__(source.weight, source.bias)

    def _requantize(self, sums: torch.Tensor, bias: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
        return super()._requantize(sums.flatten(0, -2), bias, factor).unflatten(0, sums.shape[:-1])

    def integer_sums(self, codes: torch.Tensor, weights: torch.Tensor, lut: torch.Tensor) -> torch.Tensor:
        return self.placed(op.lut_matmul(codes.flatten(0, -2), weights, lut), codes)

    def windows(self, codes: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (codes.flatten(0, -2),)

    def placed(self, sums: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        return sums.unflatten(0, codes.shape[:-1])

    def _table_sums(self, codes: torch.Tensor, weights: torch.Tensor, kept: backend.Prepared) -> torch.Tensor:
        rows = codes.flatten(0, -2)
        sums = autograd.linear_sums(rows, weights, self.product_table(), kept, self.gain, self.gradient())
        return sums.unflatten(0, codes.shape[:-1])

    def _table_layer(self, codes: torch.Tensor, constants: Constants) -> torch.Tensor:
        y = autograd.linear(codes.flatten(0, -2), *self._arguments(constants))
        return y.unflatten(0, codes.shape[:-1])

    def _exact_product(self, codes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return F.linear(codes, weights)
