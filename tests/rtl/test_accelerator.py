"""The accelerator's Verilog before it is simulated: no warnings from two readers, and synthesis to what it claims."""

import re
from collections import Counter
from pathlib import Path

import pytest

from lut_gen import yosys
from sim import icarus, process, verilator
from sim.array_cases import UNSIGNED, accelerator
from sim.array_sources import ACCELERATOR, SIGN_MAGNITUDE, SIGNED, accelerator_files
from tests.sim import products

SOURCES = accelerator_files()
MODES = (UNSIGNED, SIGNED, SIGN_MAGNITUDE)
SIZES = ((8, 8), (1, 1), (1, 5), (5, 1), (3, 4), (2, 2))
WIDTHS = (
    {"X_BITS": 8, "W_BITS": 8, "SUM_BITS": 20, "ACC_BITS": 24, "SATURATE": 0},
    {"X_BITS": 5, "W_BITS": 3, "SUM_BITS": 8, "ACC_BITS": 8, "SATURATE": 1},
    {"X_BITS": 4, "W_BITS": 4, "SUM_BITS": 7, "ACC_BITS": 5, "SATURATE": 1},
    {"X_BITS": 1, "W_BITS": 1, "SUM_BITS": 5, "ACC_BITS": 2, "SATURATE": 0},
)


def parameters(mode: int, size: tuple[int, int], widths: dict[str, int]) -> dict[str, int]:
    product_bits = widths["X_BITS"] + widths["W_BITS"]
    return {"ROWS": size[0], "COLS": size[1], "MODE": mode, "PRODUCT_BITS": product_bits, **widths}


def product(folder: Path, widths: dict[str, int]) -> Path:
    """A file with an exact multiplier of these widths."""
    path = folder / "agn_hw_product.v"
    path.write_text(products.exact(widths["X_BITS"], widths["W_BITS"]).files[path.name])
    return path


def lint(sources: list[Path], chosen: dict[str, int], log: Path) -> str:
    """Verilator's warnings, in its words; "" where it has none."""
    command = [str(verilator.program()), "--lint-only", "-Wall", "--default-language", "1364-2005"]
    command += ["--top-module", "matrix_unit", *(f"-G{name}={value}" for name, value in chosen.items())]
    try:
        text = process.run("lint", [*command, *map(str, sources)], log, process.LIMIT_S, verilator.environment())
    except process.Failed as error:
        text = error.came
    return "\n".join(re.findall("%.*", text))


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_verilator_has_no_warnings(widths: dict[str, int], tmp_path: Path) -> None:
    if verilator.missing():
        pytest.skip(f"verilator: this machine lacks {', '.join(verilator.missing())}")
    sources = [*SOURCES, product(tmp_path, widths)]
    for mode in MODES:
        for size in SIZES:
            assert lint(sources, parameters(mode, size, widths), tmp_path / "lint.log") == "", f"{mode} {size}"
    one = tmp_path / "pe.v"
    one.write_text(accelerator()["pe.v"].replace("wire carry =", "wire [1:0] carry ="))
    sources[sources.index(ACCELERATOR / "pe.v")] = one
    assert "WIDTH" in lint(sources, parameters(SIGN_MAGNITUDE, (3, 4), widths), tmp_path / "lint.log")


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_icarus_has_no_warnings(widths: dict[str, int], tmp_path: Path) -> None:
    if icarus.missing():
        pytest.skip("iverilog is not installed")
    sources = [str(path) for path in (*SOURCES, product(tmp_path, widths))]
    for mode in MODES:
        for size in SIZES:
            chosen = [f"-Pmatrix_unit.{name}={value}" for name, value in parameters(mode, size, widths).items()]
            command = [str(icarus.program()), "-Wall", "-g2005", "-s", "matrix_unit", "-o", "out.vvp", *chosen]
            said = process.run("Icarus", [*command, *sources], tmp_path / "icarus.log", process.LIMIT_S)
            assert said == "", f"{mode} {size}"


def cells(top: str, chosen: dict[str, int], folder: Path) -> Counter[str]:
    """Yosys' cells of a module by type; sound, or `check` fails."""
    sources = " ".join(str(path) for path in (*SOURCES, product(folder, chosen)))
    values = " ".join(f"-chparam {name} {value}" for name, value in chosen.items())
    script = f"read_verilog -defer {sources}\nhierarchy -check -top {top} {values}\n"
    text = yosys.run(f"{script}synth -flatten -run begin:check\ncheck -assert\nstat\n", folder)
    last = text[text.rindex("Printing statistics") :]
    return Counter({name: int(number) for number, name in re.findall(r"^\s*(\d+)\s+(\$_\w+)", last, re.MULTILINE)})


@pytest.mark.parametrize("widths", WIDTHS[:3], ids=str)
def test_an_element_has_the_registers_it_needs(widths: dict[str, int], tmp_path: Path) -> None:
    """Two sign registers in sign magnitude, none otherwise; all but the valid bit can have a gated clock."""
    for mode in MODES:
        chosen = parameters(mode, (1, 1), widths)
        del chosen["ROWS"], chosen["COLS"], chosen["ACC_BITS"], chosen["SATURATE"]
        found = cells("pe", chosen, tmp_path)
        registers = {name: number for name, number in found.items() if "FF" in name or "LATCH" in name}
        data = widths["X_BITS"] + widths["W_BITS"] + widths["SUM_BITS"] + (2 if mode == SIGN_MAGNITUDE else 0)
        assert registers == {"$_DFFE_PP_": data, "$_SDFFE_PP0P_": 1, "$_DFF_P_": 1}


def test_a_matrix_unit_synthesises_without_latches(tmp_path: Path) -> None:
    found = cells("matrix_unit", parameters(SIGN_MAGNITUDE, (3, 4), WIDTHS[1]), tmp_path)
    assert sum(found.values()) > 1000 and not [name for name in found if "LATCH" in name]
