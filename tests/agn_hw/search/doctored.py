"""Hardware with made-up costs: nothing is synthesised, and what is chosen can be foreseen."""

from collections.abc import Mapping
from pathlib import Path

from agn_hw.accelerator.bounds import Widths
from agn_hw.accelerator.system import Hardware, Spent
from lut_gen.library import liberty, liberty_reader

PARTS = ("multiplier", "accumulator", "registers", "clock", "idle", "delay_lines", "accumulators")


class Doctored(Hardware):
    """fj: of a multiplication by multiplier, for the part after which each is named; periods: ns by multiplier."""

    def __init__(self, fj: Mapping[str, Mapping[str, float]], periods: Mapping[str, float] | None = None) -> None:
        super().__init__(4, 4, liberty_reader.load(liberty.BUILT_IN), Path("nowhere"))
        self.fj, self.periods = fj, periods or {}

    def widths(self, layers):
        return Widths(20, 24)

    def period_ns(self, multiplier, port, widths):
        return self.periods.get(multiplier.name, 10.0)

    def spent(self, layer, multiplier, mapping, codes, widths):
        fj = self.fj.get(multiplier.name, {})
        return Spent({part: 1000 * fj.get(part, 1.0) for part in PARTS}, 0.0, 1000, 7)
