"""Table products: exact for every 8x8 multiplier's table, on the compiled kernels or in pure torch.

`prepare`, `Geometry` and `Finish` load torch and register the operators (`torch.ops.agn_hw`) when first asked for.
"""

from typing import Any

__all__ = ["Finish", "Geometry", "prepare"]

_HOME = {"prepare": "backend", "Finish": "forms", "Geometry": "forms"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        import_module("agn_hw.kernels.autograd")
        return getattr(import_module(f"agn_hw.kernels.{_HOME[name]}"), name)
    raise AttributeError(f"module 'agn_hw.kernels' has no attribute '{name}'")
