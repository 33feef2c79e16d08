"""What the kernels' tests multiply: random operands, tables of every kind, constants of a requantisation."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from agn_hw.kernels import Finish, native
from agn_hw.mapping import WEIGHTS
from tests.agn_hw.tables import exact_lut, exact_table8, random_table8

CODES = np.arange(256)
SMALLEST, LARGEST = -(2**31), 2**31 - 1


def operands(rows: int, depth: int, columns: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random bytes x [rows, depth] and w [columns, depth]."""
    return random_bytes(rows, depth, seed=seed), random_bytes(columns, depth, seed=seed + 1)


def random_bytes(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).to(torch.uint8)


def codes(*shape: int, low: int, high: int, seed: int = 0) -> torch.Tensor:
    """Random whole numbers as float32 that ask for a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(low, high + 1, shape, generator=generator).float().requires_grad_()


def as_table(entries: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.broadcast_to(entries, (256, 256))).astype(np.int32))


def _uneven() -> torch.Tensor:
    """The lower the weight byte, the fewer residual bytes: none at all for the first 32, four for the last."""
    generator = np.random.default_rng(0)
    bits = np.minimum(CODES // 32 * 5, 31)
    return as_table(generator.integers(0, 2.0**bits, (256, 256)) - generator.integers(0, 2**20, 256) * (bits < 30))


def _choose(*entries: int, seed: int = 0) -> torch.Tensor:
    return as_table(np.random.default_rng(seed).choice(np.array(entries), (256, 256)))


def _noise(largest: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, largest + 1, (256, 256))


TABLES = {
    "exact": exact_table8(),
    "signed by signed": as_table(exact_lut(signed=True)),
    "unsigned by unsigned": as_table(exact_lut()),
    "three times the product": as_table(np.outer(CODES, 3 * WEIGHTS)),
    "product and a byte": as_table(np.outer(CODES, WEIGHTS) - _noise(200)),
    "product and two bytes": as_table(np.outer(CODES, WEIGHTS.clip(-100, 100)) - _noise(60_000)),
    "signed product and a byte": as_table(exact_lut(signed=True) + _noise(99)),
    "17 bits": random_table8(0, 2**16),
    "a byte": as_table(_noise(255) - 3000 * CODES),
    "two bytes": as_table(_noise(2**16 - 1) - 2**15),
    "three bytes": as_table(_noise(2**24 - 1) - 2**23),
    "four bytes": as_table(_noise(2**32 - 1) - 2**31),
    "uneven": _uneven(),
    "zero": as_table(np.zeros(1)),
    "constant": as_table(np.full(1, -77)),
    "constants": as_table(np.random.default_rng(0).integers(SMALLEST, LARGEST + 1, 256)),
    "all smallest": as_table(np.full(1, SMALLEST)),
    "all largest": as_table(np.full(1, LARGEST)),
    "limits of int32": _choose(SMALLEST, LARGEST, 0, -1, 1),
    "limits of the search for slopes": _choose(-(2**22), 2**22),
    "one entry apart": as_table((CODES[:, None] == 200) & (CODES == 3)),
}
"""Folded tables, int32 [256, 256]. Sums of those at the limits leave int32; they are compared modulo 2^32."""


def finish(channels: int, low: int, high: int, seed: int = 0, largest_bias: int = LARGEST) -> Finish:
    """Constants of a requantisation: channel n shifts by n mod 40 + 1; biases of either sign."""
    generator = np.random.default_rng(seed)
    shift = np.arange(channels) % 40 + 1
    factor = generator.integers(2**14, 2**15, channels) * 2.0**-shift
    bias = generator.integers(-largest_bias - 1, largest_bias + 1, channels)
    bias[: min(3, channels)] = np.array([-largest_bias - 1, largest_bias, -1])[: min(3, channels)]
    return Finish(torch.from_numpy(bias).double(), torch.from_numpy(factor), low, high)


def instruction_sets() -> list[str]:
    """Those that this processor has; none without the compiled library."""
    return [name for name in native.ISAS if native.available() and _has(name)]


def _has(name: str) -> bool:
    try:
        with using(name):
            return True
    except ValueError:
        return False


@contextmanager
def using(isa: str) -> Iterator[None]:
    """The compiled kernels for this instruction set. Raises ValueError if the processor lacks it."""
    before = native.isa()
    native.use_isa(isa)
    try:
        yield
    finally:
        native.use_isa(before)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
