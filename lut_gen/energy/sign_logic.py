"""Sign logic: an unsigned multiplier of magnitudes with the row of exclusive-ors that gives its product a sign.

The same circuit as `rtl/multipliers/sign_magnitude.v`, mapped to the technology's smallest exclusive-or, as one
netlist with the multiplier, so that activity, glitches and energy come from the very bits that pass.
"""

from __future__ import annotations

from lut_gen.errors import AgnError
from lut_gen.library.liberty import Technology
from lut_gen.netlist import Gate, Netlist


def sign_row(width: int, technology: Technology) -> Netlist:
    """The row alone: operand a is a product of `width` bits, b its sign; y is one bit wider."""
    product, sign = tuple(range(2, 2 + width)), 2 + width
    gates, signed = _exclusive_ors(product, sign, sign + 1, technology)
    return Netlist(product, (sign,), (*signed, sign), gates)


def _exclusive_ors(
    nets: tuple[int, ...], sign: int, first: int, technology: Technology
) -> tuple[tuple[Gate, ...], tuple[int, ...]]:
    """One gate a net, its output numbered from `first` on; the gates and their outputs."""
    cell, pins = technology.gates["xor"]
    outputs = tuple(range(first, first + len(nets)))
    gates = (
        Gate(cell.name, {pins["A"]: net, pins["B"]: sign}, {pins["Y"]: output})
        for net, output in zip(nets, outputs, strict=True)
    )
    return tuple(gates), outputs


def with_sign_logic(netlist: Netlist, technology: Technology, port: str = "b") -> Netlist:
    """The multiplier with a sign on operand `port` ("a" or "b"): one more bit above that operand's magnitude.

    The result's product is signed (two's complement, one bit wider than the largest product): p for sign 0 and
    -p - 1 for sign 1, the missing 1 going into the accumulator's carry-in. Product bits that are never 1 get no gate.
    """
    if port not in ("a", "b"):
        raise AgnError("the weight's port, a or b", f"'{port}' came", "choose one of the two")
    width = max(int(netlist.table(technology.cells, signed=False).max()).bit_length(), 1)
    sign = 2 + len(netlist.a) + (len(netlist.b) if port == "b" else 0)

    def moved(net: int) -> int:
        return net + (net >= sign)

    gates = [
        Gate(
            gate.cell,
            {pin: moved(net) for pin, net in gate.inputs.items()},
            {pin: moved(net) for pin, net in gate.outputs.items()},
        )
        for gate in netlist.gates
    ]
    row, signed = _exclusive_ors(tuple(map(moved, netlist.y[:width])), sign, netlist.nets + 1, technology)
    a, b = (tuple(moved(net) for net in nets) for nets in (netlist.a, netlist.b))
    a, b = (a, (*b, sign)) if port == "b" else ((*a, sign), b)
    return Netlist(a, b, (*signed, sign), (*gates, *row))
