"""Approximate multipliers for neural-network accelerators: catalog, table layers, co-design.

    import agn_hw
    from lut_gen.catalog import Catalog

    catalog = Catalog.load("build/catalog")
    q = agn_hw.quantize(model, loader)                       # 8-bit integers
    a = agn_hw.approximate(q, catalog["truncated_8x8_d6"])   # the same, multiplying with a table
    agn_hw.compensate(a, loader)                             # its systematic error taken out
    agn_hw.fit(a, splits, agn_hw.Recipe(epochs=1, peak_rate=3e-4))   # retrained

    study = agn_hw.Study.of(model, splits, catalog)          # what can be chosen for a network
    study.solve(agn_hw.Target(max_drop=1.0, limits=agn_hw.Limits(types=3))).best

torch is loaded when one of these is first asked for.
"""

from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Limits": "agn_hw.search.solver.problem",
    "Plan": "agn_hw.accelerator.config",
    "Recipe": "agn_hw.recipe",
    "Scheme": "agn_hw.nn.scheme",
    "Study": "agn_hw.search.study",
    "Target": "agn_hw.search.strategies",
    "approximate": "agn_hw.conversion.approximate",
    "compensate": "agn_hw.nn.compensation",
    "fit": "agn_hw.train",
    "kept_exact": "agn_hw.conversion.float_parts",
    "learn_steps": "agn_hw.nn.coded",
    "quantize": "agn_hw.conversion.quantize",
    "set_accumulator": "agn_hw.nn.overflow",
}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'agn_hw' has no attribute '{name}'")
