"""A limit on the latency of one image, as multipliers that layers may not have.

The layers run one after another, each on the array of its multiplier, one image at a time: the clock cycles are known
from shapes. All arrays have one clock, as slow as the slowest needs, so that a limit on latency is one on the clock
period of each multiplier's array, element and accumulators (accelerator/system.py). Sums are as wide as all layers
together need with that multiplier.
"""

from __future__ import annotations

from agn_hw.accelerator.savings import codes_at
from agn_hw.accelerator.system import Hardware
from agn_hw.nn.layers import table_layers
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.pairs import levels
from agn_hw.search.pairs.losses import Step
from agn_hw.search.solver.assignment import AssignmentError
from agn_hw.search.study import Study
from lut_gen.errors import CatalogError

Periods = dict[str, dict[str, float]]
"""Clock period of the array, ns: by layer, then multiplier (operands may come on other ports in other layers)."""


def too_slow(study: Study, latency_us: float) -> dict[str, list[str]]:
    """By layer, the multipliers whose arrays are too slow for one image to take no longer than this.

    Raises CatalogError where arrays are not known, AssignmentError where none is fast enough for some layer.
    """
    if study.hardware is None:
        came, mend = "the study knows no hardware", "make it with hardware=Hardware(rows, cols, technology, folder)"
        raise CatalogError("arrays, to know their clock period", came, mend)
    with study.stages.stage("clock periods") as stage:
        taken = cycles(study, study.hardware)
        known = periods(study, study.hardware, stage.step)
        fastest = max(min(own.values()) for own in known.values())
        limit = 1000 * latency_us / taken
        stage.facts = {"cycles": taken, "least latency": f"{taken * fastest / 1000:.4g} us"}
    if fastest > limit:
        raise AssignmentError(
            f"a latency of at most {latency_us:g} us an image",
            f"{taken:,} cycles at the shortest clock period of these multipliers, {fastest:.3g} ns, take "
            f"{taken * fastest / 1000:.4g} us",
            "allow more with --max-latency, take a larger --array, or a catalog with faster multipliers",
        )
    return {layer: [name for name, period in own.items() if period > limit] for layer, own in known.items()}


def cycles(study: Study, hardware: Hardware) -> int:
    """Clock cycles of the network for one image; they do not depend on the multipliers."""
    layers, options = table_layers(study.quantized), study.options
    codes = codes_at(study.quantized, study.trials.calibration[:1])
    fits = {layer: own[REFERENCE] for layer, own in options.fits.items()}
    return sum(hardware.cycles(layers[layer], fit.mapping, codes[layer]) for layer, fit in fits.items())


def periods(study: Study, hardware: Hardware, step: Step = lambda done, total: None) -> Periods:
    """Of all multipliers. Raises CatalogError for one without a netlist, DesignError, LibertyError, ToolError."""
    catalog, layers, mappings = study.options.catalog, table_layers(study.quantized), study.options.mappings()

    def by_port(name: str) -> dict[str, float]:
        wide = levels.widths(hardware, layers, catalog, mappings, name)
        ports = sorted({own[name].activation_port for own in mappings.values()})
        return {port: hardware.period_ns(catalog[name], port, wide) for port in ports}

    known = levels.of_multipliers(by_port, mappings, step)
    return {
        layer: {name: known[name][mapping.activation_port] for name, mapping in own.items()}
        for layer, own in mappings.items()
    }
