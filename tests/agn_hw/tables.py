"""Multipliers and tables made on the spot, so that tests need no catalog."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from agn_hw.mapping import WEIGHTS
from lut_gen.catalog import Multiplier


def multiplier(
    lut: np.ndarray, *, signed: bool = False, energy_fj: float = 100.0, sign_energy_fj: float = 20.0
) -> Multiplier:
    """A catalog's multiplier with this table, int [2**a_bits, 2**b_bits]."""
    a_bits, b_bits = (side.bit_length() - 1 for side in lut.shape)
    assert lut.shape == (2**a_bits, 2**b_bits)
    widths = {"a_bits": a_bits, "b_bits": b_bits}
    figures: dict[str, Any] = {"name": "made_up", "family": "made_up", "signed": signed, **widths}
    made = Multiplier(Path("nowhere"), figures | {"energy_fj": energy_fj, "sign_energy_fj": sign_energy_fj})
    made.__dict__["lut"] = lut.astype(np.int32)
    return made


def patterns(bits: int, signed: bool) -> np.ndarray:
    """The number that each bit pattern stands for, int64 [2**bits]."""
    numbers = np.arange(2**bits)
    return np.where(numbers >= 2 ** (bits - 1), numbers - 2**bits, numbers) if signed else numbers


def exact_lut(a_bits: int = 8, b_bits: int = 8, signed: bool = False) -> np.ndarray:
    """Table of an exact multiplier, int64 [2**a_bits, 2**b_bits]."""
    return np.outer(patterns(a_bits, signed), patterns(b_bits, signed))


def truncated_lut(dropped: int) -> np.ndarray:
    """An unsigned 8x8 multiplier whose operand b loses its lowest bits: cheap, biased and not commutative."""
    return np.outer(np.arange(256), np.arange(256) >> dropped << dropped)


def random_lut(seed: int, largest: int = 2**17, shape: tuple[int, int] = (256, 256)) -> np.ndarray:
    """A table without any structure, entries -largest..largest; no two of its rows or columns are alike."""
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape)


def exact_table8() -> torch.Tensor:
    """The folded table of the exact product with gain 1, int32 [256, 256] by activation code and weight byte."""
    return torch.from_numpy(np.outer(np.arange(256), WEIGHTS).astype(np.int32))


def random_table8(seed: int, largest: int = 2**17) -> torch.Tensor:
    """A folded table without any structure, int32 [256, 256]."""
    return torch.from_numpy(random_lut(seed, largest).astype(np.int32))
