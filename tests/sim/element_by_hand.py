"""A processing element put together gate by gate, without synthesis: an independent netlist for the bit-sliced view."""

from lut_gen.element.netlist import ACCUMULATOR, INPUTS, MULTIPLIER, REGISTERS, ElementNetlist, Register
from lut_gen.netlist import Gate
from sim.array_sources import SIGN_MAGNITUDE, Circuit


class _Builder:
    """Hands out net numbers: input ports, then registers, then gates as they come."""

    def __init__(self, circuit: Circuit, sum_bits: int) -> None:
        self.technology = circuit.technology
        x, w = circuit.operands
        widths = dict.fromkeys(INPUTS, 1) | {"x_in": len(x), "w_in": len(w), "sum_in": sum_bits}
        self.nets = 2
        self.inputs = {name: self.take(widths[name]) for name in INPUTS}
        self.gates: list[Gate] = []
        self.parts: list[str] = []
        self.part = MULTIPLIER

    def take(self, count: int) -> tuple[int, ...]:
        self.nets += count
        return tuple(range(self.nets - count, self.nets))

    def add(self, kind: str, a: int, b: int | None = None) -> int:
        """A gate of the technology; its output."""
        cell, pins = self.technology.gates[kind]
        (output,) = self.take(1)
        operands = {"A": a} if b is None else {"A": a, "B": b}
        self.gates.append(Gate(cell.name, {pins[n]: net for n, net in operands.items()}, {pins["Y"]: output}))
        self.parts.append(self.part)
        return output


def element(circuit: Circuit, sum_bits: int) -> ElementNetlist:
    """Multiplier, exclusive-ors for its sign, a ripple adder, and registers behind a clock gate a group."""
    build = _Builder(circuit, sum_bits)
    inputs, signs = build.inputs, circuit.mode == SIGN_MAGNITUDE
    q = {
        name: build.take(width)
        for name, width in (
            ("valid_out", 1), ("x_out", len(inputs["x_in"])), ("x_sign_out", int(signs)),
            ("w_out", len(inputs["w_in"])), ("w_sign_out", int(signs)), ("enable_out", 1), ("sum_out", sum_bits),
        )
    }  # fmt: skip
    product = _multiplied(build, circuit, inputs["x_in"], q["w_out"])
    negative = build.add("xor", inputs["x_sign_in"][0], q["w_sign_out"][0]) if signs else 0
    extended = (*product, *[0 if signs else product[-1]] * sum_bits)[:sum_bits]
    build.part = ACCUMULATOR
    total = _added(build, inputs["sum_in"], extended, negative, q["enable_out"][0])
    build.part = REGISTERS
    alive = build.add("not", inputs["reset"][0])
    (load,), (valid,) = inputs["load"], inputs["valid_in"]
    gate = build.add("or", load, inputs["reset"][0])
    sources = {
        "valid_out": ((build.add("and", valid, alive),), None),
        "x_out": (inputs["x_in"], valid), "x_sign_out": (inputs["x_sign_in"], valid), "sum_out": (total, valid),
        "w_out": (inputs["w_in"], load), "w_sign_out": (inputs["w_sign_in"], load),
        "enable_out": ((build.add("and", inputs["enable_in"][0], alive),), gate),
    }  # fmt: skip
    registers = [
        Register("dfxtp_1", "D", "CLK", data, net, sources[name][1])
        for name, nets in q.items()
        for data, net in zip(sources[name][0], nets, strict=False)
    ]
    return ElementNetlist(inputs, q, tuple(registers), tuple(build.gates), tuple(build.parts), "dlclkp_1")


def _multiplied(build: _Builder, circuit: Circuit, x: tuple[int, ...], w: tuple[int, ...]) -> tuple[int, ...]:
    """The multiplier's gates among the element's; its product."""
    netlist = circuit.netlist
    moved = {0: 0, 1: 1}
    for nets, own in zip(circuit.operands, (x, w), strict=True):
        moved |= zip(nets, own, strict=True)
    for gate in netlist.gates:
        moved |= zip(gate.outputs.values(), build.take(len(gate.outputs)), strict=True)
        outputs = {pin: moved[net] for pin, net in gate.outputs.items()}
        build.gates.append(Gate(gate.cell, {pin: moved[net] for pin, net in gate.inputs.items()}, outputs))
        build.parts.append(MULTIPLIER)
    return tuple(moved[net] for net in netlist.y)


def _added(
    build: _Builder, total: tuple[int, ...], product: tuple[int, ...], negative: int, enable: int
) -> tuple[int, ...]:
    """total + (enable ? product, negated where negative : 0), a bit at a time."""
    carry = build.add("and", negative, enable) if negative else 0
    sums = []
    for a, p in zip(total, product, strict=True):
        b = build.add("and", build.add("xor", p, negative) if negative else p, enable)
        either = build.add("xor", a, b)
        sums.append(build.add("xor", either, carry))
        carry = build.add("or", build.add("and", a, b), build.add("and", either, carry))
    return tuple(sums)
