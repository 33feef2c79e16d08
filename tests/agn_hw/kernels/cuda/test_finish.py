"""Rescaling on a device: the same codes as the portable ones, bit for bit."""

import pytest
import torch

from agn_hw.kernels import portable
from agn_hw.kernels.cuda import finish
from agn_hw.kernels.forms import Finish
from tests.agn_hw.kernels import operands
from tests.agn_hw.kernels.cuda.emulator.runner import ORDERS

SHAPES = [(4, 6), (1, 1), (300, 7), (3, 6, 5), (2, 6, 3, 4), (2, 5, 16, 16), (1, 3, 31, 33), (7, 1, 2, 1), (2, 513, 2)]
LIMITS = (-(2**15), 2**15 - 1)


def sums_of(*shape: int, largest: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(-largest, largest + 1, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_requantize(emulated, shape, dtype):
    sums = sums_of(*shape, largest=2**24 if dtype == torch.float32 else 2**31 - 1).to(dtype)
    for low, high in (LIMITS, (0, 255)):
        ending = operands.finish(shape[1], low, high)
        y = finish.requantize(sums, ending)
        assert y.dtype == torch.float32 and y.is_contiguous()
        assert torch.equal(y, portable.requantize(sums, ending))
    assert emulated.launches == ["requantize"] * 2


def test_halves_are_rounded_up(emulated):
    """Sums at and beside every half, of either sign."""
    sums = torch.arange(-4096, 4096, dtype=torch.int32).reshape(1, 1, -1)
    for shift in (1, 2, 5, 11):
        ending = Finish(torch.zeros(1).double(), torch.full((1,), 2.0**-shift).double(), *LIMITS)
        expected = ((sums.long() + (1 << (shift - 1))) >> shift).float()
        assert torch.equal(finish.requantize(sums, ending), expected)


@pytest.mark.parametrize("emulated", ORDERS, indirect=True)
@pytest.mark.parametrize("shape", [(3, 5, 37), (9, 130)])
def test_in_place(emulated, shape):
    sums = sums_of(*shape, largest=2**31 - 1).to(torch.int32)
    ending = operands.finish(shape[1], -128, 127)
    expected = portable.requantize(sums, ending)
    y = finish.requantize_in_place(sums, ending)
    assert torch.equal(y, expected) and y.data_ptr() == sums.data_ptr()


def test_other_strides(emulated):
    sums = sums_of(9, 7, 11, 3, largest=30_000).float()
    ending = operands.finish(7, -128, 127)
    for strided in (sums.transpose(2, 3), sums[1:], sums[:, :, 1:], sums.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(finish.requantize(strided, ending), portable.requantize(strided, ending))
    every_second = Finish(ending.bias.repeat_interleave(2)[::2], ending.factor.repeat_interleave(2)[::2], -128, 127)
    assert torch.equal(finish.requantize(sums, every_second), portable.requantize(sums, ending))
    shifted = sums.flatten()[1 : 1 + 7 * 22].view(2, 7, 11)
    assert shifted.data_ptr() % 16
    assert torch.equal(finish.requantize(shifted, ending), portable.requantize(shifted, ending))


@pytest.mark.parametrize("shape", SHAPES)
def test_preset(emulated, shape):
    y = torch.zeros(shape, dtype=torch.int32)
    start = sums_of(shape[1], largest=2**31 - 1).to(torch.int32)
    finish.preset(y, start)
    assert torch.equal(y, start.reshape(1, -1, *[1] * (len(shape) - 2)).expand(shape))
    assert emulated.launches == ["preset"]


@pytest.mark.parametrize("shape", [(1,), (9, 8, 3), (2, 3, 31, 31), (4, 1024)])
def test_add_codes(emulated, shape):
    left = operands.codes(*shape, low=-128, high=127).detach()
    right = operands.codes(*shape, low=0, high=255, seed=1).detach()
    for factors in ([0.625, 0.375], [1 / 3, -0.1], [2.0**-9 * 181, 0.0], [1e5, -1e5]):
        given = torch.tensor(factors, dtype=torch.float64)
        for low, high in ((-50, 60), LIMITS):
            y = finish.add_codes(left, right, given, low, high)
            assert torch.equal(y, portable.add_codes(left, right, *factors, low, high))


def test_add_codes_of_other_strides(emulated):
    left, right = (operands.codes(8, 13, low=-128, high=127, seed=seed).detach() for seed in (0, 1))
    factors = torch.tensor([0.3, 9.0, 0.7], dtype=torch.float64)[::2]
    for one, other in ((left.t(), right.t()), (left[:, 1:], right[:, :-1]), (left.flatten()[1:], right.flatten()[:-1])):
        assert torch.equal(finish.add_codes(one, other, factors, -128, 127),
                           portable.add_codes(one, other, 0.3, 0.7, -128, 127))


def test_no_number_stays_none(emulated):
    nothing = torch.tensor([float("nan"), 1.0], dtype=torch.float64)
    assert finish.add_codes(torch.ones(5), torch.ones(5), nothing, -128, 127).isnan().all()
    y = finish.requantize(torch.ones(3, 2, dtype=torch.int32), Finish(torch.zeros(2).double(), nothing, -128, 127))
    assert y[:, 0].isnan().all() and (y[:, 1] == 1).all()


def test_nothing_to_do(emulated):
    ending = operands.finish(5, 0, 255)
    for shape in ((0, 5), (3, 5, 0)):
        assert finish.requantize(torch.zeros(shape), ending).shape == shape
        assert finish.requantize_in_place(torch.zeros(shape, dtype=torch.int32), ending).shape == shape
        finish.preset(torch.zeros(shape, dtype=torch.int32), torch.zeros(5, dtype=torch.int32))
    assert finish.add_codes(*[torch.zeros(0)] * 2, torch.ones(2).double(), 0, 1).shape == (0,)
    assert not emulated.launches
