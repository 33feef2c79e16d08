"""The Verilog of a systolic array around one multiplier: which files it consists of, and how wide everything is.

    agn_hw_product.v    the multiplier, from its mapped netlist
    rtl/accelerator/    element, array, accumulators
    agn_hw_array.v      the top that a simulator drives: the matrix unit behind one register an input
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import rtl
from lut_gen.errors import AgnError
from lut_gen.gate_level import net_name
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Netlist

TOP = "agn_hw_array"
PRODUCT = "agn_hw_product"
ACCELERATOR = rtl.ROOT / "accelerator"
SIGNED, SIGN_MAGNITUDE = 1, 2
"""Modes of rtl/accelerator/pe.v: a two's complement product, or an unsigned one with signs of its own."""
_MOST_LANES, _MOST_BITS = 64, 63  # rows or columns; bits of a sum, which the host holds as int64


@dataclass(frozen=True)
class ArrayShape:
    """Size and widths of an array: sum_bits of a sum inside it, acc_bits of a total over all tiles of k.

    A total that does not fit wraps, or with `saturate` takes the nearest value. Raises AgnError for what no array has.
    """

    rows: int
    cols: int
    sum_bits: int
    acc_bits: int
    saturate: bool = False

    def __post_init__(self) -> None:
        for name, least, most in (("rows", 1, _MOST_LANES), ("cols", 1, _MOST_LANES), ("sum_bits", 2, _MOST_BITS),
                                  ("acc_bits", 2, _MOST_BITS)):  # fmt: skip
            value = getattr(self, name)
            if not least <= value <= most:
                raise AgnError(f"{name} from {least} to {most}", f"{value} came", "choose another array")


@dataclass(frozen=True)
class Circuit:
    """The multiplier on an array: its netlist, whether its operands are two's complement, and the port ("a" or "b")
    that takes the activation. An unsigned multiplier multiplies magnitudes; signs go beside it."""

    netlist: Netlist
    signed: bool
    activation_port: str
    technology: Technology

    def __post_init__(self) -> None:
        if self.activation_port not in ("a", "b"):
            raise AgnError("the activation's port, a or b", f"'{self.activation_port}' came", "choose one of the two")

    @property
    def operands(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Nets of the activation and of the weight."""
        a, b = self.netlist.a, self.netlist.b
        return (a, b) if self.activation_port == "a" else (b, a)

    @property
    def mode(self) -> int:
        """The element's MODE."""
        return SIGNED if self.signed else SIGN_MAGNITUDE


def parameters(circuit: Circuit, shape: ArrayShape) -> dict[str, int]:
    """Parameters of rtl/accelerator/matrix_unit.v."""
    x, w = circuit.operands
    return {
        "ROWS": shape.rows, "COLS": shape.cols, "X_BITS": len(x), "W_BITS": len(w),
        "PRODUCT_BITS": len(circuit.netlist.y), "SUM_BITS": shape.sum_bits, "MODE": circuit.mode,
        "ACC_BITS": shape.acc_bits, "SATURATE": int(shape.saturate),
    }  # fmt: skip


def sources(circuit: Circuit, shape: ArrayShape) -> dict[str, str]:
    """Text of every file of the plain array, by its name: multiplier, rtl/accelerator and top."""
    return {
        f"{PRODUCT}.v": product(circuit),
        **{path.name: path.read_text() for path in accelerator_files()},
        f"{TOP}.v": top(circuit, shape),
    }


def accelerator_files() -> list[Path]:
    """The files of rtl/accelerator, in order."""
    return sorted(ACCELERATOR.glob("*.v"))


def product(circuit: Circuit) -> str:
    """Module agn_hw_product: the netlist's gates as assignments, in a function that Verilator compiles once."""
    x, w = circuit.operands
    netlist = circuit.netlist
    ports = (("input", len(x), "x"), ("input", len(w), "w"), ("output", len(netlist.y), "p"))
    declared = ",\n".join(f"    {direction} [{width - 1}:0] {name}" for direction, width, name in ports)
    names = ", ".join(f"n{net}" for net in range(2, netlist.nets))
    body = "\n".join(f"            {line}" for line in _assignments(circuit))
    return f"""module {PRODUCT} (
{declared}
);
    function automatic [{len(netlist.y) - 1}:0] multiplied (input [{len(x) - 1}:0] x, input [{len(w) - 1}:0] w);
        // verilator no_inline_task
        reg {names};
        begin
{body}
        end
    endfunction

    assign p = multiplied(x, w);
endmodule
"""


def _assignments(circuit: Circuit) -> Iterator[str]:
    for port, nets in zip("xw", circuit.operands, strict=True):
        yield from (f"n{net} = {port}[{bit}];" for bit, net in enumerate(nets))
    for gate in circuit.netlist.gates:
        functions = circuit.technology.cells[gate.cell].functions
        for pin, net in gate.outputs.items():
            text = functions[pin].verilog(lambda name, nets=gate.inputs: net_name(nets[name]))  # type: ignore[misc]
            yield f"n{net} = {text};"
    yield f"multiplied = {{{', '.join(net_name(net) for net in reversed(circuit.netlist.y))}}};"


def top(circuit: Circuit, shape: ArrayShape, declarations: str = "") -> str:
    """Module agn_hw_array: matrix_unit with its inputs behind registers, so that a simulator evaluates it once a cycle.

    The array sees everything one clock edge later. `declarations` are put into the module.
    """
    values = parameters(circuit, shape)
    rows, cols = shape.rows, shape.cols
    inputs = {
        "reset": 1, "load": 1, "in_weights": cols * values["W_BITS"], "in_weight_signs": cols, "in_enables": cols,
        "in_valid": 1, "in_activations": rows * values["X_BITS"], "in_activation_signs": rows,
        "in_totals": cols * shape.acc_bits,
    }  # fmt: skip
    ports = "".join(f"    input [{width - 1}:0] {name},\n" for name, width in inputs.items())
    registers = "".join(f"    reg [{width - 1}:0] taken_{name};\n" for name, width in inputs.items())
    taken = "".join(f"        taken_{name} <= {name};\n" for name in inputs)
    given = ", ".join(f".{name}({value})" for name, value in values.items())
    connected = "".join(f"        .{name}(taken_{name}),\n" for name in inputs)
    return f"""module {TOP} (
    input clk,
{ports}    output out_valid,
    output [{cols * shape.acc_bits - 1}:0] out_totals
);
{registers}{declarations}
    always @(posedge clk) begin
{taken}    end

    matrix_unit #({given}) unit (
        .clk(clk),
{connected}        .out_valid(out_valid),
        .out_totals(out_totals)
    );
endmodule
"""
