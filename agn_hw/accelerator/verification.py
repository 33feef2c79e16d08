"""A run's plan on the array's RTL: the arrays that its layers need, and what the network did on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from agn_hw.accelerator import bounds, hardware_loop
from agn_hw.accelerator.config import LayerPlan, Plan, PlanError
from agn_hw.accelerator.hardware_loop import Checked, OnArray
from agn_hw.accelerator.tables import LayerTable
from agn_hw.accelerator.verified import Asked, LayerResult, Verification, energy
from agn_hw.nn.accumulator import SATURATE
from agn_hw.nn.layers import TableLayer, table_layers
from agn_hw.run_folder import choices, load_network
from agn_hw.search.pairs import energies
from agn_hw.stages import Stages
from agn_hw.zoo import data
from agn_hw.zoo.data import to_float
from lut_gen.catalog import Catalog, Multiplier
from lut_gen.errors import CatalogError
from lut_gen.library import liberty_reader
from lut_gen.library.liberty import Technology
from sim.cosim import ArrayShape, Circuit, SystolicArray

_AGAIN = "run `agn-hw codesign` again"
BITSLICED, RTL = "bitsliced", "rtl"


def verify(asked: Asked, stages: Stages) -> Verification:
    """Runs the network with its layers' products on the RTL, and compares every sum, code and logit with the tables.

    Raises PlanError for a run that is not sound or has no such layer, CatalogError for a
    catalog without the plan's multipliers or with others of these names, ToolError where a simulation fails.
    """
    plan, tables = Plan.load(asked.run), choices(asked.run)
    parts = _parts(plan, asked)
    catalog = Catalog.load(asked.catalog)
    technology = _technology(catalog, asked.liberty)
    multipliers = {part.name: _multiplier(catalog, part, tables[part.name]) for part in parts}
    network = load_network(asked.run)
    layers = table_layers(network)
    if set(layers) != set(tables):
        missing = sorted(set(layers) ^ set(tables))[0]
        raise PlanError("a plan of all layers", f"layer {missing} is in the plan or in the network alone", _AGAIN)
    with stages.stage("test images") as stage:
        images = _images(plan, asked)
        stage.facts = {"images": len(images)}
    with stages.stage("arrays", total=len(parts)) as stage:
        arrays, plain = {}, {}
        for group in _sharing(multipliers, tables, layers):
            array = _array(asked, multipliers[group[0]], tables[group[0]], [layers[name] for name in group], technology)
            if array.view != RTL:
                plain[id(array)] = SystolicArray.build(array.circuit, array.shape, RTL, asked.folder)
            for name in group:
                arrays[name] = array
                stage.step()
        stage.facts = {"arrays": len({id(array) for array in arrays.values()})}
    on = {
        name: OnArray(array, tables[name].mapping, Checked(), plain.get(id(array))) for name, array in arrays.items()
    }
    batch = min(10, asked.images)
    with stages.stage("network on the array", total=len(on) * -(-len(images) // batch)) as stage:
        differ = hardware_loop.run(network, on, images, stage.step, batch)
        stage.facts = {"cycles": sum(one.checked.cycles for one in on.values())}
    results = [
        LayerResult(
            part.name,
            part.multiplier,
            tables[part.name].mapping.oriented(tables[part.name].lut),
            arrays[part.name],
            on[part.name].checked,
            part.energy_fj,
            _predicted(plan, part.name, asked),
            energy(arrays[part.name], on[part.name].checked, technology),
        )
        for part in parts
    ]
    return Verification(asked, plan, results, len(images) * plan.data["classes"], differ)


def _technology(catalog: Catalog, liberty: Path | None) -> Technology:
    """The catalog's. Raises CatalogError where that is another one."""
    if liberty is None:
        return energies.technology_of(catalog)
    technology, built_with = liberty_reader.load(liberty), catalog.header["technology"]
    if technology.sha256 != built_with["sha256"]:
        mend = f"give the {built_with['file']} that the catalog was built with"
        raise CatalogError(f"the cell library of {catalog.path}", f"{liberty} is another one", mend)
    return technology


def _parts(plan: Plan, asked: Asked) -> list[LayerPlan]:
    names = [part.name for part in plan.layers]
    unknown = [name for name in asked.layers if name not in names]
    if unknown:
        wanted = f"layers out of {', '.join(names)}"
        raise PlanError(wanted, f"'{unknown[0]}' came", "correct --layers, or leave it out for all of them")
    return [part for part in plan.layers if part.name in asked.layers or not asked.layers]


def _predicted(plan: Plan, layer: str, asked: Asked) -> float | None:
    if (plan.array.get("rows"), plan.array.get("cols")) != (asked.rows, asked.cols):
        return None
    return plan.array["layers"][layer]["energy_fj"]["multiplier"]


def _images(plan: Plan, asked: Asked) -> torch.Tensor:
    """The first test images, float [B, C, H, W]. Raises PlanError for a plan that does not fit them."""
    try:
        split = data.load(plan.data["name"], plan.data["seed"], asked.cache, asked.data_root, _side(plan)).test
        fits = list(split.images.shape[1:]) == plan.data["image"]
    except KeyError as error:
        raise PlanError(f"a plan that says what its images are ({error})", "this one does not", _AGAIN) from None
    if not fits:
        came = f"{plan.data['name']} has images of {list(split.images.shape[1:])}"
        raise PlanError(f"test images of {plan.data['image']}", came, _AGAIN)
    return to_float(split.images[: asked.images])


def _side(plan: Plan) -> int | None:
    """Of the images, where the data set lets it be chosen."""
    return plan.data["image"][-1] if plan.data["name"] in data.FOLDERS else None


def _multiplier(catalog: Catalog, part: LayerPlan, table: LayerTable) -> Multiplier:
    mend = "give the catalog that the plan was made with, or run `agn-hw codesign` again"
    if part.multiplier not in catalog:
        raise CatalogError(f"'{part.multiplier}' of layer {part.name} in {catalog.path}", "it is not there", mend)
    found = catalog[part.multiplier]
    if not np.array_equal(found.lut, table.lut):
        came = f"{catalog.path} has another table under this name"
        raise CatalogError(f"the plan's '{part.multiplier}'", came, mend)
    return found


def _sharing(
    multipliers: dict[str, Multiplier], tables: dict[str, LayerTable], layers: dict[str, TableLayer]
) -> list[list[str]]:
    """Layers in groups that one array can serve: the same multiplier, activations on the same port, as narrow a sum."""
    groups: dict[tuple, list[str]] = {}
    for name, multiplier in multipliers.items():
        key = multiplier.name, tables[name].mapping.activation_port, layers[name].accumulator
        groups.setdefault(key, []).append(name)
    return list(groups.values())


def _array(
    asked: Asked, multiplier: Multiplier, table: LayerTable, layers: list[TableLayer], technology: Technology
) -> SystolicArray:
    """As wide as these layers need, so that no sum overflows; where they chose a narrow accumulator, with that one."""
    sum_bits, acc_bits = bounds.widths(bounds.of_layer(layer, asked.rows) for layer in layers)
    chosen = layers[0].accumulator
    if chosen is not None and chosen.overflow == SATURATE and chosen.rows != asked.rows:
        wanted = f"an array of {chosen.rows} rows, which the network's accumulators saturate on"
        raise PlanError(wanted, f"one of {asked.rows} came", f"give --array {chosen.rows}x{asked.cols}")
    if chosen is not None:
        acc_bits = chosen.bits
    saturate = chosen is not None and chosen.overflow == SATURATE
    shape = ArrayShape(asked.rows, asked.cols, sum_bits, acc_bits, saturate)
    circuit = Circuit(multiplier.netlist, bool(multiplier.signed), table.mapping.activation_port, technology)
    return SystolicArray.build(circuit, shape, asked.view, asked.folder, toggles=asked.view == BITSLICED)
