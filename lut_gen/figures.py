"""All figures of one design: the cheapest mapping's table, cost and error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lut_gen import files, timing
from lut_gen.design import Design
from lut_gen.energy import power
from lut_gen.energy.sign_logic import sign_row
from lut_gen.errors import DesignError
from lut_gen.library.liberty import OUTPUT_LOAD_FF, Technology
from lut_gen.metrics import error_metrics
from lut_gen.netlist import Netlist, all_operands
from lut_gen.synthesis import Synthesised, synthesise


def characterise(design: Design, technology: Technology, folder: Path) -> tuple[dict[str, Any], bytes, bytes]:
    """Figures (columns of the catalog), the table as .npz bytes and the netlist as JSON bytes.

    Of the recipes' netlists the one with the lowest energy is kept (area decides a tie). Raises DesignError,
    ToolError.
    """
    mapped = synthesise(design, technology, folder)
    recipe, netlist, energy, product = _cheapest(mapped, technology)
    lut = product.reshape(2 ** len(netlist.a), 2 ** len(netlist.b))
    figures = {
        "a_bits": len(netlist.a),
        "b_bits": len(netlist.b),
        "signed": mapped.signed,
        "recipe": recipe,
        "area_um2": _rounded(power.area_um2(netlist, technology.cells)),
        "energy_fj": _rounded(energy),
        "leakage_nw": _rounded(power.leakage_nw(netlist, technology.cells)),
        "delay_ns": _rounded(timing.delay_ns(netlist, technology)),
        **_sign_logic(product, mapped.signed, technology),
        **{name: _rounded(value) for name, value in error_metrics(lut, mapped.signed).items()},
    }
    return figures, files.npz_bytes(lut=lut), netlist.to_json().encode()


def _rounded(value: float) -> float:
    """Nine significant digits: enough for any use, and the same text on every machine."""
    return float(f"{value:.9g}")


def _cheapest(mapped: Synthesised, technology: Technology) -> tuple[str, Netlist, float, np.ndarray]:
    """Recipe, netlist, energy (fJ) and products int32 [pairs] of the mapping with the lowest energy."""
    best = None
    for recipe, netlist in mapped.netlists.items():
        a, b = all_operands(len(netlist.a), len(netlist.b))
        words = netlist.evaluate(technology.cells, a, b)
        energy = power.energy_fj(netlist, technology, words, len(a))
        product = netlist.product(words, len(a), mapped.signed)
        if best is not None and not np.array_equal(product, best[3]):
            came = f"the mappings '{best[0]}' and '{recipe}' compute different ones"
            mend = "leave nothing undefined (x) in the source"
            raise DesignError("the same products from every mapping", came, mend)
        if best is None or (energy, power.area_um2(netlist, technology.cells)) < (
            best[2],
            power.area_um2(best[1], technology.cells),
        ):
            best = recipe, netlist, energy, product
    assert best is not None
    return best


def _sign_logic(product: np.ndarray, signed: bool, technology: Technology) -> dict[str, float]:
    """Cost of the exclusive-or row that gives an unsigned product its sign; zeros for a signed multiplier.

    The product's bits come as this multiplier makes them (all operand pairs), the sign is a fair coin. The
    row's input pins replace the load that the bare product was given, so energies may be added.
    """
    if signed:
        return {"sign_area_um2": 0.0, "sign_energy_fj": 0.0, "sign_delay_ns": 0.0}
    width = max(int(product.max()).bit_length(), 1)
    netlist = sign_row(width, technology)
    values, signs = np.tile(product, 2), np.repeat([0, 1], len(product))
    words = netlist.evaluate(technology.cells, values, signs)
    p = power.probabilities(words, len(values))[list(netlist.a)]
    replaced = 0.5 * OUTPUT_LOAD_FF * technology.voltage**2 * float((2 * p * (1 - p)).sum())
    return {
        "sign_area_um2": _rounded(power.area_um2(netlist, technology.cells)),
        "sign_energy_fj": _rounded(power.energy_fj(netlist, technology, words, len(values)) - replaced),
        "sign_delay_ns": _rounded(timing.delay_ns(netlist, technology)),
    }
