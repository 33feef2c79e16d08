"""Approximate multipliers for neural-network accelerators: catalog, table layers, co-design.

    import agn_hw
    from lut_gen.catalog import Catalog

    catalog = Catalog.load("build/catalog")
    q = agn_hw.quantize(model, loader)                       # 8-bit integers
    a = agn_hw.approximate(q, catalog["truncated_8x8_d6"])   # the same, multiplying with a table

torch is loaded when one of these is first asked for.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["approximate", "quantize"]

_HOME = {"quantize": "agn_hw.nn.quantize", "approximate": "agn_hw.nn.convert"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'agn_hw' has no attribute '{name}'")
