"""The bit-sliced view: a systolic array with one word a net, in which each element of the array has a bit.

Bit column * ROWS + row of every word belongs to the element (row, column). So the next column is a shift by ROWS, the
next row a shift by 1, and one operation on words evaluates a gate of all elements: E. Biham, "A fast new DES
implementation in software", FSE 1997, does the same with ciphers. An array of more elements than a machine word has
bits consists of slices of columns side by side. Ports and timing are those of rtl/accelerator/systolic_array.v, and
rtl/accelerator/matrix_unit.v stands around both; bit_planes.py has what is between the ports and the elements.

At each clock edge a slice computes, in this order: the values of all nets, from registers and inputs as they are; the
registers' new values; the last row's new sums, lane by lane, for the registers behind its outputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from lut_gen.element.netlist import INPUTS, OUTPUTS, ElementNetlist, Register
from lut_gen.errors import DesignError
from lut_gen.library.cell import Cell
from sim import array_sources, bit_planes
from sim.array_sources import PRODUCT, TOP, ArrayShape, Circuit
from sim.bit_planes import padded
from sim.word_logic import shortest

_ARRAY, _SLICE = "systolic_array", "agn_hw_columns"
_PARAMETERS = ("ROWS", "COLS", "X_BITS", "W_BITS", "PRODUCT_BITS", "SUM_BITS", "MODE")
_FROM_LEFT = {"x_in": "x_out", "x_sign_in": "x_sign_out", "valid_in": "valid_out"}
_FROM_ABOVE = {"w_in": "w_out", "w_sign_in": "w_sign_out", "enable_in": "enable_out", "sum_in": "sum_out"}
"""Inputs, and the output of the neighbour that drives them."""


def sources(element: ElementNetlist, circuit: Circuit, shape: ArrayShape, toggles: bool) -> dict[str, str]:
    """Text of every file of the bit-sliced array, by its name.

    With `toggles` there is one slice, and it leaves the values of all nets before each edge in the memory `settled` of
    the top. Raises DesignError for an element whose ports have other widths, or with an output that is no register's.
    """
    plain = array_sources.sources(circuit, shape)
    every = array_sources.parameters(circuit, shape)
    parameters = {name: every[name] for name in _PARAMETERS}
    _check(element, parameters)
    groups = [range(shape.cols)] if toggles else bit_planes.slices(shape)
    declared = ""
    if toggles:
        word = shape.rows * shape.cols - 1
        declared = f"    reg [{word}:0] settled [0:{element.nets - 1}] /* verilator public_flat_rd */;\n"
    made = {_ARRAY: bit_planes.array(shape, parameters, groups, _SLICE)}
    made[TOP] = array_sources.top(circuit, shape, declared)
    for count in {len(columns) for columns in groups}:
        hint = "" if len(groups) == 1 else " /* verilator no_inline_module */"  # one piece of C++ for all slices
        own = {**parameters, "COLS": count}
        made[f"{_SLICE}_{count}"] = _columns(element, circuit.technology.cells, own, hint, toggles)
    kept = {name: text for name, text in plain.items() if name not in (f"{PRODUCT}.v", "pe.v")}
    return {**kept, **{f"{name}.v": text for name, text in made.items()}}


def _check(element: ElementNetlist, parameters: Mapping[str, int]) -> None:
    widths = {"x_in": parameters["X_BITS"], "w_in": parameters["W_BITS"], "sum_in": parameters["SUM_BITS"]}
    held = {0, 1} | {register.q for register in element.registers}
    for name, nets in {**element.inputs, **element.outputs}.items():
        wanted = widths.get(name.replace("_out", "_in"), 1)
        if len(nets) != wanted and not (not nets and "sign" in name):
            mend = "synthesise the element for this multiplier and this array"
            raise DesignError(f"an element with {wanted} bits of {name}", f"it has {len(nets)}", mend)
        if name in OUTPUTS and not held.issuperset(nets):
            mend = "register every output, as rtl/accelerator/pe.v does"
            raise DesignError("an element whose outputs are registers", f"{name} is none", mend)
    assert {*element.inputs, *element.outputs} == {*INPUTS, *OUTPUTS}


def _columns(
    element: ElementNetlist, cells: Mapping[str, Cell], parameters: Mapping[str, int], hint: str, toggles: bool
) -> str:
    """Module of parameters["COLS"] columns of elements."""
    rows, cols = parameters["ROWS"], parameters["COLS"]
    word = rows * cols - 1
    body = [
        *_weights(parameters),
        *_input_words(element, rows, cols),
        *_gates(element, cells),
        *(_recorded(element) if toggles else ()),
        *_register_words(element),
        *_leaving(element, rows, cols),
    ]
    ports = bit_planes.PORTS
    for name, value in parameters.items():
        ports = ports.replace(name, str(value))
    return _MODULE.format(
        name=f"{_SLICE}_{cols}",
        ports=ports,
        hint=hint,
        x=rows * parameters["X_BITS"] - 1,
        row=rows - 1,
        sums=cols * parameters["SUM_BITS"] - 1,
        word=word,
        row0=bit_planes.mask(range(cols), rows),
        lines="".join(f"    {line}\n" for line in _declarations(element, parameters)),
        variables="".join(f"        reg [{word}:0] {name};\n" for name in _variables(element, parameters)),
        body="".join(f"        {line}\n" for line in body),
    )


_MODULE = """module {name} (
{ports}    input [{x}:0] left_x,
    input [{row}:0] left_signs,
    input [{row}:0] left_valid,
    output [{x}:0] right_x,
    output [{row}:0] right_signs,
    output [{row}:0] right_valid,
    output [{sums}:0] leaving
);{hint}
    localparam [{word}:0] ZERO = 0;
    localparam [{word}:0] ONES = ~ZERO;
    localparam [{word}:0] ROW0 = {row0};
    localparam [{word}:0] LAST_ROW = ROW0 << {row};
{lines}
    always @(posedge clk) begin : element
{variables}{body}    end
endmodule
"""


def _declarations(element: ElementNetlist, parameters: Mapping[str, int]) -> Iterator[str]:
    """Registers, and what the last row and column hand on: registers too."""
    rows, cols = parameters["ROWS"], parameters["COLS"]
    word = rows * cols - 1
    yield from (f"reg [{word}:0] n{register.q};" for register in element.registers)
    yield from (f"reg [{parameters['SUM_BITS'] - 1}:0] lane_{column};" for column in range(cols))
    yield f"assign leaving = {padded([f'lane_{column}' for column in range(cols)], 0, 0)};"
    for port, name in (("x_out", "right_x"), ("x_sign_out", "right_signs"), ("valid_out", "right_valid")):
        planes = []
        for bit, net in enumerate(element.outputs[port] or (0,)):
            yield f"wire [{word}:0] {name}_word_{bit} = {_word(net)};"
            planes.append(f"{name}_word_{bit}[{word} -: {rows}]")
        yield f"assign {name} = {padded(planes, 0, 0)};"


def _variables(element: ElementNetlist, parameters: Mapping[str, int]) -> Iterator[str]:
    """Words that live within a clock edge."""
    held = {register.q for register in element.registers}
    yield from (f"{'before' if net in held else 'n'}{net}" for net in range(2, element.nets))
    for name, bits in (("weights", parameters["W_BITS"]), ("sums", parameters["SUM_BITS"])):
        yield from (f"{name}_{part}" for part in range(-(-bits // parameters["ROWS"])))


def _word(net: int) -> str:
    return ("ZERO", "ONES")[net] if net < 2 else f"n{net}"


def _weights(parameters: Mapping[str, int]) -> Iterator[str]:
    """Words weights_*: bit b of all weights stands at row 0 of word b / ROWS, shifted by b % ROWS."""
    rows, cols, w_bits = parameters["ROWS"], parameters["COLS"], parameters["W_BITS"]
    for part in range(-(-w_bits // rows)):
        bits = min(rows, w_bits - part * rows)
        lanes = [f"in_weights[{column * w_bits + part * rows} +: {bits}]" for column in range(cols)]
        yield f"weights_{part} = {padded(lanes, bits, rows)};"


def _input_words(element: ElementNetlist, rows: int, cols: int) -> Iterator[str]:
    """What each element sees at its inputs: its neighbour's output, or the slice's port at the edge."""
    for name in ("reset", "load"):
        yield from (f"n{net} = {{{rows * cols}{{{name}}}}};" for net in element.inputs[name])
    for name, neighbour in {**_FROM_LEFT, **_FROM_ABOVE}.items():
        outputs = element.outputs[neighbour] or (0,)
        for bit, (net, output) in enumerate(zip(element.inputs[name], outputs, strict=False)):
            moved = f"({_word(output)} << {rows})" if name in _FROM_LEFT else f"(({_word(output)} << 1) & ~ROW0)"
            yield f"n{net} = {moved} | {_edge(name, bit, rows, cols)};"


def _edge(name: str, bit: int, rows: int, cols: int) -> str:
    """What enters the slice at one bit of the input `name`, as a word."""
    if name == "sum_in":
        return "ZERO"
    if name == "w_in":
        return f"((weights_{bit // rows} >> {bit % rows}) & ROW0)"
    if name in ("w_sign_in", "enable_in"):
        port = "in_weight_signs" if name == "w_sign_in" else "in_enables"
        return padded([f"{port}[{column}]" for column in range(cols)], 1, rows)
    return {"x_in": f"left_x[{bit * rows} +: {rows}]", "x_sign_in": "left_signs", "valid_in": "left_valid"}[name]


def _gates(element: ElementNetlist, cells: Mapping[str, Cell]) -> Iterator[str]:
    """One assignment an output pin."""
    for gate in element.gates:
        cell = cells[gate.cell]
        words = [_word(gate.inputs[pin]) for pin in cell.inputs]
        for pin, net in gate.outputs.items():
            function = cell.functions[pin]
            form = shortest(function.truth_table(cell.inputs), len(cell.inputs))
            text = _of_words(function.verilog(dict(zip(cell.inputs, words, strict=True)).__getitem__))
            yield f"n{net} = {text if form is None else form.format(*words)};"


def _of_words(text: str) -> str:
    """An expression of single bits as one of words: the constants."""
    return re.sub(r"1'b([01])", lambda match: "ONES" if match[1] == "1" else "ZERO", text.replace("1'b1^", "~"))


def _recorded(element: ElementNetlist) -> Iterator[str]:
    yield from (f"{TOP}.settled[{net}] = {_word(net)};" for net in range(element.nets))


def _register_words(element: ElementNetlist) -> Iterator[str]:
    """Registers take their data where their clock comes through; data and gates that are registers are read before.

    What the next slice reads is assigned without blocking: it may be evaluated later.
    """
    held = {register.q for register in element.registers}
    read = {net for r in element.registers for net in (r.data, r.clocked_by) if net is not None}
    seen = {net for port in _FROM_LEFT.values() for net in element.outputs[port]}
    yield from (f"before{net} = n{net};" for net in sorted(held & read))

    def word(net: int) -> str:
        return f"before{net}" if net in held else _word(net)

    def assigned(register: Register, value: str) -> str:
        return f"n{register.q} {'<=' if register.q in seen else '='} {value};"

    groups: dict[int | None, list[Register]] = {}
    for register in element.registers:
        groups.setdefault(register.clocked_by, []).append(register)
    for gate, registers in groups.items():
        if gate is None:
            yield from (assigned(r, word(r.data)) for r in registers)
            continue
        yield f"if ({word(gate)} == ONES) begin"  # the usual case is the short one
        yield from (f"    {assigned(r, word(r.data))}" for r in registers)
        yield f"end else if ({word(gate)} != ZERO) begin"
        for r in registers:
            yield f"    {assigned(r, f'(n{r.q} & ~{word(gate)}) | ({word(r.data)} & {word(gate)})')}"
        yield "end"


def _leaving(element: ElementNetlist, rows: int, cols: int) -> Iterator[str]:
    """Lane by lane the sums that the last row has now: ROWS planes at a time are put side by side in one word."""
    planes = [_word(net) for net in element.outputs["sum_out"]]
    parts = range(-(-len(planes) // rows))
    for part in parts:
        words = [f"(({plane} & LAST_ROW) >> {rows - 1 - i})" for i, plane in enumerate(planes[part * rows :][:rows])]
        yield f"sums_{part} = {' | '.join(words)};"
    for column in range(cols):
        bits = [f"sums_{part}[{column * rows} +: {min(rows, len(planes) - part * rows)}]" for part in parts]
        yield f"lane_{column} <= {padded(bits, 0, 0)};"
