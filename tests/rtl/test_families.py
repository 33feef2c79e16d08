"""Every built-in multiplier computes what its paper says, for all operands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lut_gen.catalog import Catalog
from lut_gen.design import Design, read_list
from tests.rtl import models

RTL = Path(__file__).parents[2] / "rtl"
DESIGNS = read_list(RTL / "multipliers.toml")
SOURCES = sorted((RTL / "multipliers").glob("*.v"))


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_synthesised_table_equals_the_model(design: Design, catalog: Catalog) -> None:
    multiplier = catalog[design.name]
    assert multiplier.family == design.family
    assert multiplier.parameters == design.parameters
    assert np.array_equal(multiplier.lut, models.table(design.family, design.parameters))


def test_no_two_designs_have_the_same_table() -> None:
    seen: dict[tuple[tuple[int, ...], bytes], str] = {}
    for design in DESIGNS:
        table = models.table(design.family, design.parameters)
        other = seen.setdefault((table.shape, table.tobytes()), design.name)
        assert other == design.name, f"{design.name} computes the same as {other}"


def test_every_file_serves_a_design_or_is_the_sign_logic() -> None:
    used = {path for design in DESIGNS for path in design.files}
    assert set(SOURCES) - used == {RTL / "multipliers" / "sign_magnitude.v"}


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyverilog.vparser.parser import VerilogParser

    yield VerilogParser(outputdir=str(tmp_path_factory.mktemp("pyverilog")), debug=False)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pyverilog leaves a file open when it is imported
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_pyverilog_reads_one_module_named_like_its_file(source: Path, parser: Any) -> None:
    definitions = parser.parse(source.read_text()).description.definitions
    assert [definition.name for definition in definitions] == [source.stem]
