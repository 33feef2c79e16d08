"""What a regression of the accelerator runs: cases, and the Verilog that holds all of them in one simulation.

    clk       input, one clock for all
    selected  input, the case that is run: clock and inputs of the others stand still
    inputs    input, the case's input ports side by side, in the order of `Case.ports`, the first in the low bits
    outputs   output, the case's output ports in the same way

Each case has modules of its own: all that a case's files define are renamed, so that two cases may hold two texts
of one module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from lut_gen.design import Design
from lut_gen.errors import AgnError
from sim import wrapper
from sim.array_sources import accelerator_files

TOP = "agn_hw_cases"
UNSIGNED = 0
"""The mode of rtl/accelerator/pe.v that arrays for networks do not use."""
SELECTED_BITS = 8
MOST_CASES = 1 << SELECTED_BITS

_MODULE = re.compile(r"^\s*module\s+([A-Za-z_]\w*)", re.MULTILINE)


def accelerator() -> dict[str, str]:
    """The Verilog of the accelerator: text by file name."""
    return {path.name: path.read_text() for path in accelerator_files()}


@dataclass(frozen=True)
class Product:
    """A multiplier: Verilog with the module `agn_hw_product` (text by file name), and what it has to compute.

    table: products by patterns, int64 [2**x_bits, 2**w_bits]; bits: width of the module's p; signed: whether operands
    and p are two's complement.
    """

    files: Mapping[str, str]
    table: np.ndarray
    bits: int
    signed: bool = False

    @property
    def operand_bits(self) -> tuple[int, int]:
        """Widths of x and w."""
        x, w = self.table.shape
        return x.bit_length() - 1, w.bit_length() - 1


def of_expression(expression: str, table: np.ndarray, bits: int, signed: bool = False) -> Product:
    """A product in one expression of x and w, for instance "x * w"."""
    x, w = (size.bit_length() - 1 for size in table.shape)
    sign = "signed " if signed else ""
    text = f"""module agn_hw_product (
    input  {sign}[{x - 1}:0] x,
    input  {sign}[{w - 1}:0] w,
    output {sign}[{bits - 1}:0] p
);
    assign p = {expression};
endmodule
"""
    return Product({"agn_hw_product.v": text}, table, bits, signed)


def of_design(design: Design, table: np.ndarray, bits: int, signed: bool = False) -> Product:
    """The source RTL of a trusted design. Raises DesignError for a source that cannot be read."""
    x, w = (size.bit_length() - 1 for size in table.shape)
    parameters = ", ".join(f".{name}({value})" for name, value in design.parameters.items())
    a, b, y = (design.ports[role] for role in ("activation", "weight", "product"))
    text = f"""module agn_hw_product (input [{x - 1}:0] x, input [{w - 1}:0] w, output [{bits - 1}:0] p);
    {design.top} #({parameters}) multiplier (.{a}(x), .{b}(w), .{y}(p));
endmodule
"""
    sources = {name: content.decode() for name, content in wrapper.sources([design]).items()}
    return Product({"agn_hw_product.v": text, **sources}, table, bits, signed)


@dataclass(frozen=True)
class Case:
    """One processing element or matrix unit with its parameters.

    top: "pe" or "matrix_unit"; parameters: those of the module that the product does not say (MODE, SUM_BITS ...), all
    of them; rtl: the accelerator's Verilog, text by file name; seed: of what is driven.
    """

    name: str
    top: str
    product: Product
    parameters: Mapping[str, int]
    rtl: Mapping[str, str] = field(default_factory=accelerator)
    seed: int = 0

    def all_parameters(self) -> dict[str, int]:
        """Parameters of `top`, those of the product among them."""
        x, w = self.product.operand_bits
        return {"X_BITS": x, "W_BITS": w, "PRODUCT_BITS": self.product.bits, **self.parameters}

    def ports(self) -> tuple[dict[str, int], dict[str, int]]:
        """Widths of the input ports (without the clock) and of the output ports, by name, in order."""
        return (_element_ports if self.top == "pe" else _unit_ports)(self.all_parameters())


def _element_ports(p: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    x, w, total = p["X_BITS"], p["W_BITS"], p["SUM_BITS"]
    inputs = {"reset": 1, "load": 1, "valid_in": 1, "x_in": x, "x_sign_in": 1, "w_in": w, "w_sign_in": 1}
    outputs = {"valid_out": 1, "x_out": x, "x_sign_out": 1, "w_out": w, "w_sign_out": 1, "enable_out": 1}
    return {**inputs, "enable_in": 1, "sum_in": total}, {**outputs, "sum_out": total}


def _unit_ports(p: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    rows, cols, total = p["ROWS"], p["COLS"], p["COLS"] * p["ACC_BITS"]
    inputs = {"reset": 1, "load": 1, "in_valid": 1, "in_weights": cols * p["W_BITS"], "in_weight_signs": cols}
    inputs |= {"in_enables": cols, "in_activations": rows * p["X_BITS"], "in_activation_signs": rows}
    return {**inputs, "in_totals": total}, {"out_valid": 1, "out_totals": total}


def sources(cases: list[Case]) -> dict[str, bytes]:
    """All files of the simulation with the top TOP, content by name. Raises AgnError for no cases, or too many."""
    if not 0 < len(cases) <= MOST_CASES:
        raise AgnError(f"1 to {MOST_CASES} cases in a simulation", f"{len(cases)} came", "run them in several")
    files = {f"{TOP}.v": _top(cases).encode()}
    for number, case in enumerate(cases):
        text = "\n".join(f"{text}\n`resetall" for text in (*case.rtl.values(), *case.product.files.values()))
        names = "|".join(_MODULE.findall(text))
        renamed = re.sub(rf"\b({names})\b", rf"\g<1>_case_{number}", text)
        files[f"case_{number}.v"] = f"{renamed}\n".encode()
    return files


def _top(cases: list[Case]) -> str:
    widths = [tuple(sum(side.values()) for side in case.ports()) for case in cases]
    inputs, outputs = (max(side) for side in zip(*widths, strict=True))
    body = "\n".join(line for number, case in enumerate(cases) for line in _case(number, case, outputs))
    chosen = "\n        | ".join(f"({{{outputs}{{here_{i}}}}} & outputs_{i})" for i in range(len(cases)))
    return f"""module {TOP} (
    input  clk /*verilator public_flat_rw*/,
    input  [{SELECTED_BITS - 1}:0] selected /*verilator public_flat_rw*/,
    input  [{inputs - 1}:0] inputs /*verilator public_flat_rw*/,
    output [{outputs - 1}:0] outputs /*verilator public_flat_rd*/
);
{body}
    assign outputs = {chosen};
endmodule
"""


def _case(number: int, case: Case, width: int) -> Iterator[str]:
    ins, outs = case.ports()
    taken, given = sum(ins.values()), sum(outs.values())
    parameters = ", ".join(f".{name}({value})" for name, value in case.all_parameters().items())
    yield f"    wire here_{number} = selected == {SELECTED_BITS}'d{number};"
    yield f"    wire [{taken - 1}:0] in_{number} = inputs[{taken - 1}:0] & {{{taken}{{here_{number}}}}};"
    yield f"    wire [{given - 1}:0] out_{number};"
    fill = f"{{{width - given}{{1'b0}}}}, " if width > given else ""
    yield f"    wire [{width - 1}:0] outputs_{number} = {{{fill}out_{number}}};"
    yield f"    {case.top}_case_{number} #({parameters}) case_{number} ("
    for bus, ports in ((f"in_{number}", ins), (f"out_{number}", outs)):
        place = 0
        for name, bits in ports.items():
            yield f"        .{name}({bus}[{place} +: {bits}]),"
            place += bits
    yield f"        .clk(clk & here_{number})"
    yield "    );"
