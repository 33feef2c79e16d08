"""Table products: exact for every 8x8 multiplier's table, on the compiled kernels or in pure torch."""

from agn_hw.kernels.backend import prepare
from agn_hw.kernels.forms import Finish, Geometry

__all__ = ["Finish", "Geometry", "prepare"]
