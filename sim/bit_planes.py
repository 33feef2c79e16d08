"""The bit-sliced array around its elements: ports have a lane a row or column, words of elements a bit an element.

A plane is one bit of a number, for all rows or columns. Bit column * ROWS + row of a word is element (row, column), so
that what enters column 0 stands in the low ROWS bits, and row 0 in every ROWS-th bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from sim.array_sources import ArrayShape

_BYTE = 8
_WORD = 64  # bits that a processor computes with at a time
PORTS = """    input clk,
    input reset,
    input load,
    input [COLS*W_BITS-1:0] in_weights,
    input [COLS-1:0] in_weight_signs,
    input [COLS-1:0] in_enables,
"""
"""What the array has, and each of its slices for its own columns."""
_TRANSPOSED = """
    // Bit 8 * i + j becomes bit 8 * j + i: 8 lanes of 8 bits become 8 planes, by exchanging blocks of 1, 2 and 4 bits
    // (H. S. Warren, Hacker's Delight, section 7-3).
    function automatic [63:0] transposed (input [63:0] lanes);
        reg [63:0] exchanged;
        begin
            exchanged = (lanes ^ (lanes >> 7)) & 64'h00AA00AA00AA00AA;
            transposed = lanes ^ exchanged ^ (exchanged << 7);
            exchanged = (transposed ^ (transposed >> 14)) & 64'h0000CCCC0000CCCC;
            transposed = transposed ^ exchanged ^ (exchanged << 14);
            exchanged = (transposed ^ (transposed >> 28)) & 64'h00000000F0F0F0F0;
            transposed = transposed ^ exchanged ^ (exchanged << 28);
        end
    endfunction
"""


def mask(lanes: Iterable[int], width: int, bits: int = 1) -> str:
    """A constant with `bits` ones from the start of each of these lanes, which are `width` bits wide."""
    lanes = list(lanes)
    return f"{(max(lanes) + 1) * width}'h{sum(((1 << bits) - 1) << lane * width for lane in lanes):x}"


def padded(lanes: list[str], bits: int, width: int) -> str:
    """The lanes as a concatenation, lane 0 last, each filled up from `bits` to `width` with zeros."""
    fill = f"{width - bits}'b0, " if width > bits else ""
    return f"{{{', '.join(f'{fill}{lane}' for lane in reversed(lanes))}}}"


def slices(shape: ArrayShape) -> list[range]:
    """The array's columns in groups whose elements fit into one machine word, where a column does."""
    most = max(1, _WORD // shape.rows)
    return [range(first, min(first + most, shape.cols)) for first in range(0, shape.cols, most)]


def array(shape: ArrayShape, parameters: Mapping[str, int], groups: list[range], name: str) -> str:
    """Module systolic_array around slices of columns, modules called `name` with the number of columns behind it.

    Rows are skewed as in rtl/accelerator/systolic_array.v, each column's sums are delayed until the last one's stand.
    """
    declared = ", ".join(f"parameter {key} = {value}" for key, value in parameters.items())
    body = [_TRANSPOSED, *_skew(shape, parameters["X_BITS"]), *_planes(shape, parameters["X_BITS"])]
    for number, columns in enumerate(groups):
        body += _slice(columns, number, f"{name}_{len(columns)}")
    body += [f"    assign out_valid = right_valid_{len(groups) - 1}[ROWS-1];", *_deskew(shape, len(groups))]
    return f"""module systolic_array #(
    {declared}
) (
{PORTS}    input in_valid,
    input [ROWS*X_BITS-1:0] in_activations,
    input [ROWS-1:0] in_activation_signs,
    output out_valid,
    output [COLS*SUM_BITS-1:0] out_sums
);
{chr(10).join(body)}
endmodule
"""


def _skew(shape: ArrayShape, x_bits: int) -> Iterator[str]:
    """`skewed` and `skewed_signs` hold what enters each row, `row_valid` where it is valid."""
    stages = range(1, shape.rows)
    yield "    reg [ROWS-1:0] valid_line;"
    yield from (f"    reg [ROWS*X_BITS-1:0] skew_{s};\n    reg [ROWS-1:0] sign_skew_{s};" for s in stages)
    lanes = [f"({_stage('skew', s)} & {mask([s], x_bits, x_bits)})" for s in range(shape.rows)]
    signs = [f"({_stage('sign_skew', s)} & {mask([s], 1)})" for s in range(shape.rows)]
    yield "    wire [ROWS-1:0] row_valid = (valid_line << 1) | in_valid;"
    yield f"    wire [ROWS*X_BITS-1:0] skewed = {' | '.join(lanes)};"
    yield f"    wire [ROWS-1:0] skewed_signs = {' | '.join(signs)};"
    yield "    always @(posedge clk) begin"
    yield "        valid_line <= row_valid & {ROWS{~reset}};"
    for s in stages:
        taken = f"skew_{s} <= {_stage('skew', s - 1)}; sign_skew_{s} <= {_stage('sign_skew', s - 1)};"
        yield f"        if (row_valid[{s - 1}]) begin {taken} end"
    yield "    end"


def _stage(line: str, s: int) -> str:
    return f"{line}_{s}" if s else {"skew": "in_activations", "sign_skew": "in_activation_signs"}[line]


def _planes(shape: ArrayShape, x_bits: int) -> Iterator[str]:
    """`x_planes`: for each bit of an activation all rows, from the lanes of `skewed`."""
    groups = [range(first, min(first + _BYTE, shape.rows)) for first in range(0, shape.rows, _BYTE)]
    for number, rows in enumerate(groups):
        for part in range(-(-x_bits // _BYTE)):
            bits = min(_BYTE, x_bits - part * _BYTE)
            lanes = [f"skewed[{row * x_bits + part * _BYTE} +: {bits}]" for row in rows]
            yield f"    wire [63:0] planes_{number}_{part} = transposed({padded(lanes, bits, _BYTE)});"
    planes = [
        f"planes_{number}_{bit // _BYTE}[{bit % _BYTE * _BYTE} +: {len(rows)}]"
        for bit in range(x_bits)
        for number, rows in enumerate(groups)
    ]
    yield f"    wire [ROWS*X_BITS-1:0] x_planes = {{{', '.join(reversed(planes))}}};"


def _slice(columns: range, number: int, name: str) -> Iterator[str]:
    """The instance of these columns; what is on its left is the slice before it, or the rows' skew."""
    count, first = len(columns), columns.start
    left = [f"right_{what}_{number - 1}" for what in ("x", "signs", "valid")]
    left = left if number else ["x_planes", "skewed_signs", "row_valid"]
    yield f"    wire [ROWS*X_BITS-1:0] right_x_{number};"
    yield f"    wire [ROWS-1:0] right_signs_{number}, right_valid_{number};"
    yield f"    wire [{count}*SUM_BITS-1:0] leaving_{number};"
    yield f"    {name} slice_{number} ("
    yield "        .clk(clk), .reset(reset), .load(load),"
    yield f"        .in_weights(in_weights[{first}*W_BITS +: {count}*W_BITS]),"
    yield f"        .in_weight_signs(in_weight_signs[{first} +: {count}]), .in_enables(in_enables[{first} +: {count}]),"
    yield f"        .left_x({left[0]}), .left_signs({left[1]}), .left_valid({left[2]}),"
    yield f"        .right_x(right_x_{number}), .right_signs(right_signs_{number}),"
    yield f"        .right_valid(right_valid_{number}), .leaving(leaving_{number})"
    yield "    );"


def _deskew(shape: ArrayShape, groups: int) -> Iterator[str]:
    leaving = ", ".join(f"leaving_{number}" for number in reversed(range(groups)))
    yield f"    wire [COLS*SUM_BITS-1:0] leaving = {{{leaving}}};"
    last = []
    for column in range(shape.cols):
        stages = [f"leaving[{column}*SUM_BITS +: SUM_BITS]"]
        stages += [f"deskew_{column}_{s}" for s in range(1, shape.cols - column)]
        last.append(stages[-1])
        for before, after in pairwise(stages):
            yield f"    reg [SUM_BITS-1:0] {after};\n    always @(posedge clk) {after} <= {before};"
    yield f"    assign out_sums = {padded(last, 0, 0)};"
