"""Segmenting, rounding and logarithmic multipliers away from the list's points: synthesised, against the models."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design
from tests.rtl import models

UNLISTED = [  # of what the list has no point of: unequal and narrow operands, the parameters' limits
    ("drum", {"A_BITS": 6, "B_BITS": 4, "K": 3}),
    ("dynamic_segment", {"A_BITS": 5, "B_BITS": 7, "K": 2, "LAST_ONE": 0}),
    ("static_segment", {"A_BITS": 2, "B_BITS": 3, "K": 2}),
    ("static_segment", {"A_BITS": 8, "B_BITS": 5, "K": 3, "MIDDLE": 2, "SIGNED": 1}),
    ("roba", {"A_BITS": 3, "B_BITS": 6}),
    ("roba", {"A_BITS": 7, "B_BITS": 4, "SIGNED": 1}),
    ("roba", {"A_BITS": 5, "B_BITS": 6, "SIGNED": 1, "COMPLEMENT": 1}),
    ("tosam", {"A_BITS": 2, "B_BITS": 5, "H": 2, "T": 9}),
    ("tosam", {"A_BITS": 7, "B_BITS": 4, "H": 3, "T": 3, "SIGNED": 1}),
    ("alm", {"A_BITS": 3, "B_BITS": 2, "LOWER": 2}),
    ("alm", {"A_BITS": 4, "B_BITS": 7, "LOWER": 1, "SIGNED": 1}),
    ("dynamic_range_alm", {"A_BITS": 2, "B_BITS": 6, "T": 9}),
    ("realm", {"A_BITS": 6, "B_BITS": 3, "SEGMENTS": 8, "FRACTION": 4}),
    ("realm", {"A_BITS": 4, "B_BITS": 5, "SEGMENTS": 4, "FRACTION": 8, "SIGNED": 1}),
    ("ilm", {"A_BITS": 5, "B_BITS": 3, "CORRECTIONS": 2}),
    ("ilm", {"A_BITS": 4, "B_BITS": 6, "CORRECTIONS": 1, "SIGNED": 1}),
]


@pytest.fixture(scope="module")
def unlisted(designs: list[Design], tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A catalog of UNLISTED, named by the places there."""
    sources = {design.family: design for design in designs}
    folder: Path = tmp_path_factory.mktemp("catalog")
    asked = [
        replace(
            sources[family],
            name=f"unlisted_{place}",
            parameters=parameters,
            signed=bool(parameters.get("SIGNED", 0)),
        )
        for place, (family, parameters) in enumerate(UNLISTED)
    ]
    failed = [outcome for outcome in build(asked, folder) if outcome.error]
    assert not failed, failed[0].error
    return Catalog.load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("place", range(len(UNLISTED)))
def test_any_widths_and_parameters_agree_with_the_model(place: int, unlisted: Catalog) -> None:
    family, parameters = UNLISTED[place]
    assert np.array_equal(unlisted[f"unlisted_{place}"].lut, models.table(family, parameters))
