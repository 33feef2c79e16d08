"""The Verilog around the multipliers under test, and which of them can share one simulation.

    operands   input,  [a_bits + b_bits - 1 : 0]: pattern of `a` above pattern of `b`, as wide as the widest
    products   output, 32 bits a design: its product, sign-extended where it is signed

A narrower design takes the low bits of each pattern. No user's name enters the text unchecked, and of the user's
sources only what `Design.texts` lets through: preprocessed, without comments, macros and unsafe system tasks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from lut_gen.design import Design
from lut_gen.errors import DesignError

TOP = "agn_hw_regression"
PRODUCT_BITS = 32
UNKNOWN = -(2**63)
"""Stands for a product with a bit that is x or z, where a simulator has these."""

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_MODULE = re.compile(
    r"\b(?:(?:macro)?module|primitive)\s+([^\s#(;]+).*?\bend(?:module|primitive)\b", re.DOTALL
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True)
class Instance:
    """A design in the wrapper: widths in bits, and whether its product is two's complement."""

    design: Design
    a_bits: int
    b_bits: int
    product_bits: int
    signed: bool


def share(designs: list[Design]) -> list[list[Design]]:
    """Designs in groups that can be compiled together, in order.

    A module of one name and two texts is a conflict. Raises DesignError for a source that cannot be read or is
    not safe.
    """
    groups: list[tuple[dict[str, str], list[Design]]] = []
    for design in designs:
        defined = _definitions(design)
        for known, members in groups:
            if all(known.get(name, text) == text for name, text in defined.items()):
                known |= defined
                members.append(design)
                break
        else:
            groups.append((defined, [design]))
    return [members for _, members in groups]


def _definitions(design: Design) -> dict[str, str]:
    """Hash of each module's text (layout aside) by name."""
    return {
        match[1]: hashlib.sha256(" ".join(match[0].split()).encode()).hexdigest()
        for text in design.texts().values()
        for match in _MODULE.finditer(_COMMENT.sub(" ", text))
    }


def sources(designs: list[Design]) -> dict[str, bytes]:
    """The designs' texts under fixed names, each once, with directives reset at its end. Raises DesignError."""
    contents = dict.fromkeys(text for design in designs for text in design.texts().values())
    return {f"source_{i}.v": f"{content}\n`resetall\n".encode() for i, content in enumerate(contents)}


def original_names(designs: list[Design]) -> dict[str, str]:
    """The user's own file name of each of `sources`."""
    names: dict[str, str] = {}
    for path, content in (item for design in designs for item in design.texts().items()):
        names.setdefault(content, path.name)
    return {f"source_{i}.v": name for i, name in enumerate(names.values())}


def text(instances: list[Instance]) -> str:
    """The wrapper's Verilog. Raises DesignError for a top, port or parameter that is no plain name."""
    a_bits = max(instance.a_bits for instance in instances)
    b_bits = max(instance.b_bits for instance in instances)
    body = "\n".join(line for i, instance in enumerate(instances) for line in _instance(i, instance, b_bits))
    return f"""module {TOP} (
    input  [{a_bits + b_bits - 1}:0] operands /*verilator public_flat_rw*/,
    output [{PRODUCT_BITS * len(instances) - 1}:0] products /*verilator public_flat_rd*/
);
{body}
endmodule
"""


def _instance(number: int, instance: Instance, b_bits: int) -> Iterator[str]:
    design, width = instance.design, instance.product_bits
    top = _checked(design.top, design)
    values = {_checked(key, design): int(value) for key, value in design.parameters.items()}
    parameters = ", ".join(f".{key}({value})" for key, value in values.items())
    a, b, y = (_checked(design.ports[role], design) for role in ("activation", "weight", "product"))
    yield f"    wire [{width - 1}:0] y{number};"
    yield f"    {top} {f'#({parameters}) ' if parameters else ''}design_{number} ("
    yield f"        .{a}(operands[{b_bits + instance.a_bits - 1}:{b_bits}]),"
    yield f"        .{b}(operands[{instance.b_bits - 1}:0]), .{y}(y{number})"
    yield "    );"
    extended = _extended(number, width, instance.signed)
    yield f"    assign products[{PRODUCT_BITS * number} +: {PRODUCT_BITS}] = {extended};"


def _extended(number: int, width: int, signed: bool) -> str:
    """The product in PRODUCT_BITS bits, as the catalog's int32 holds it."""
    if width >= PRODUCT_BITS:
        return f"y{number}[{PRODUCT_BITS - 1}:0]"
    fill = f"y{number}[{width - 1}]" if signed else "1'b0"
    return f"{{{{{PRODUCT_BITS - width}{{{fill}}}}}, y{number}}}"


def _checked(name: str, design: Design) -> str:
    if not _IDENTIFIER.fullmatch(name):
        wanted = f"plain Verilog names in the design '{design.name}'"
        raise DesignError(wanted, f"{name!r} came", "rename it in a wrapper module")
    return name
