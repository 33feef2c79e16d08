"""Area, leakage and clock period of a processing element, by part.

Areas are sums of cells: no wires, no clock tree, no utilisation of a floor plan.
"""

from __future__ import annotations

from dataclasses import dataclass

from lut_gen.element.netlist import ElementNetlist
from lut_gen.element.power import PARTS, all_cells
from lut_gen.element.timing import clock_period
from lut_gen.library.liberty import Technology


@dataclass(frozen=True)
class ElementFigures:
    """Of one element. area_um2 and leakage_nw by part (MULTIPLIER, ACCUMULATOR, REGISTERS); period_ns: the shortest
    clock period; flip_flops: how many."""

    area_um2: dict[str, float]
    leakage_nw: dict[str, float]
    period_ns: float
    flip_flops: int

    @classmethod
    def of(cls, element: ElementNetlist, technology: Technology) -> ElementFigures:
        """Of an element mapped to this technology."""
        area, leakage = dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0.0)
        for part, cell in all_cells(element, technology):
            area[part] += cell.area_um2
            leakage[part] += cell.leakage_nw
        return cls(area, leakage, clock_period(element, technology).period_ns, len(element.registers))

    @property
    def total_um2(self) -> float:
        return sum(self.area_um2.values())

    @property
    def multiplier_share(self) -> float:
        """The multiplier's share of the area, its sign logic and enable gates included."""
        return self.area_um2["multiplier"] / self.total_um2
