"""Learned step sizes of a layer whose table has derivatives of its own."""

import numpy as np
import torch
from torch import nn

from agn_hw.codes import Codes
from agn_hw.nn.coded import learn_steps
from agn_hw.nn.products import TableConv2d
from tests.agn_hw.nn.single_layers import images, settle
from tests.agn_hw.tables import truncated_lut


def test_gradients_of_steps_go_through_the_tables_own_gradient():
    """With factors of the table's derivatives, weights' codes get these in place of the product's."""
    layer = settle(TableConv2d(nn.Conv2d(3, 4, 3, padding=1)), Codes(-(2**15), 2**15 - 1))
    layer.set_scheme(8, 2.0 ** layer.weight_scale.detach().log2().ceil())
    with torch.no_grad():
        layer.bias.zero_()
        layer.in_scale.fill_(2.0**-6)
        layer.out_scale.fill_(2.0**-4)
    table = torch.from_numpy(truncated_lut(3).astype(np.int32))
    three = [torch.full((256, 1), value) for value in (1.0, 3.0, 1.0, 5.0)]  # dT/dx = 3, dT/dw = 5
    layer.set_table(table.numpy(), 1.0, three)
    learn_steps(layer)
    x, grad = images(2, 3, 5, 5), torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(9))
    y = layer(x)
    (y * grad).sum().backward()
    factor = layer.in_scale.detach() / layer.out_scale.detach()  # of a weight's scale, in the factor
    sums = (grad.double() * layer.accumulate(x).detach()).sum((0, 2, 3)) * factor
    ratio = layer.weight.detach().double() / layer.weight_scale.detach().reshape(-1, 1, 1, 1)
    to_codes = 5 * grad.double().sum((0, 2, 3))  # of every weight alike, padding included
    wanted = sums - factor * to_codes * ratio.sum((1, 2, 3))
    wanted /= (27 * 127) ** 0.5
    torch.testing.assert_close(layer.weight_scale.grad, wanted, rtol=0, atol=1e-3 * float(wanted.abs().max()))
