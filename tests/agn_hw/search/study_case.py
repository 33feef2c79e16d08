"""A study of a network that is small enough for tests: five classes of 8 x 8 images, a few multipliers."""

from functools import cache

import torch

from agn_hw.search.study import Study
from agn_hw.stages import Stages
from agn_hw.zoo.data import Split, Splits
from lut_gen.catalog import Catalog
from tests.agn_hw.networks import images, labels, small_resnet

FEW = (
    *("exact_2x2", "exact_3x2", "exact_3x3", "exact_4x3", "exact_4x4", "exact_5x5", "exact_8x8"),
    *("truncated_4x4_d3", "truncated_3x3_d2", "kulkarni_4x4", "drum_8_k4", "baugh_wooley_4x4"),
)


def few(catalog: Catalog) -> Catalog:
    """A part of a catalog."""
    return Catalog(catalog.path, catalog.header, catalog.table[catalog.table["name"].isin(FEW)])


@cache
def splits() -> Splits:
    def part(count: int, seed: int) -> Split:
        pixels = (255 * images(count, seed=seed)).round().to(torch.uint8)
        return Split(pixels, labels(pixels.float() / 255))

    return Splits("parts", 5, 0, part(640, 1000), part(128, 1), part(400, 2), part(400, 3))


class Quiet(Stages):
    """Keeps the log, prints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.console.quiet = True


def study(catalog: Catalog, energy_model: str = "weight_stationary") -> Study:
    return Study.of(small_resnet(), splits(), few(catalog), energy_model=energy_model, stages=Quiet())
