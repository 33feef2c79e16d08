"""Which port of a multiplier is what: the operands are its two inputs, the product is its output.

The activation is the input whose name says so (a, x, act, data, multiplicand ...) or whose partner is a weight
(b, w, coeff, multiplier ...); else, of names that end in different letters or numbers, the earlier one (opa before
opb, in1 before in2); else the one declared first. Filling words (in_, _i, op_ ...) and case do not matter.
"""

from __future__ import annotations

import re

from lut_gen.errors import DesignError
from lut_gen.sources.verilog import Module

PORT_ROLES = {"activation": "a", "weight": "b", "product": "y"}
"""What each port is for, and its usual name."""

_ACTIVATION = re.compile(r"a|x|acts?|activations?|pixels?|features?|multiplicand|mcand")
_WEIGHT = re.compile(r"b|w|y|wts?|weights?|coeffs?|coefficients?|kernel|filter|multiplier|mplier|mult")
_FILLING = {"in", "i", "op", "operand", "input", "port", "val", "value", "din", "data", "s", "u", "signed", "unsigned"}
_SIGNED = re.compile(r"(?i:mul\d+(x\d+)?s(_|$)|(^|_)signed)|[a-z]Signed")
_ADDER = re.compile(r"add(er)?\d|adder|^sub\d", re.IGNORECASE)


def find_roles(module: Module, given: dict[str, str]) -> dict[str, str]:
    """Port name by role; `given` roles are taken as they are. Raises DesignError that names the candidates."""
    unknown = [name for name in given.values() if name not in [port.name for port in module.ports]]
    if unknown:
        named = ", ".join(port.name for port in module.ports) or "none"
        came = f"'{unknown[0]}' came, its ports are: {named}"
        raise DesignError(f"ports of '{module.name}'", came, "correct `ports`")
    ports = dict(given)
    free = [port for port in module.ports if port.name not in given.values()]
    inputs = [port.name for port in free if port.direction == "input"]
    outputs = [port.name for port in free if port.direction == "output"]
    operands = [role for role in ("activation", "weight") if role not in given]
    if len(inputs) != len(operands) or len(outputs) != ("product" not in given):
        named = ", ".join(f"{port.direction} {port.name}" for port in module.ports) or "none"
        wanted = f"two inputs (operands) and one output (product) of '{module.name}'"
        mend = f"name them in a list of designs: ports = {_example(inputs, outputs)}"
        if len(module.ports) != 3 or any(port.direction not in ("input", "output") for port in module.ports):
            mend = "wrap it in a module of just these three ports: no clock, no reset, no mode, no other outputs"
        raise DesignError(wanted, f"its ports are: {named}", mend)
    ordered = _ordered(*inputs) if len(inputs) == 2 else inputs
    ports |= dict(zip(operands, ordered, strict=True))
    if outputs:
        ports["product"] = outputs[0]
    return {role: ports[role] for role in PORT_ROLES}


def _example(inputs: list[str], outputs: list[str]) -> str:
    a, b, y = (*inputs, "...", "...")[0], (*inputs, "...", "...")[1], (*outputs, "...")[0]
    return f'{{ activation = "{a}", weight = "{b}", product = "{y}" }}'


def _ordered(first: str, second: str) -> list[str]:
    """Activation and weight."""
    cores = [_core(first), _core(second)]
    ranks = [_rank(core) for core in cores]
    if ranks[0] != ranks[1]:
        return [first, second] if ranks[0] < ranks[1] else [second, first]
    shared = next((i for i, (a, b) in enumerate(zip(*cores, strict=False)) if a != b), min(map(len, cores)))
    endings = [core[shared:] for core in cores]
    if all(re.fullmatch(r"\d{1,9}", ending) for ending in endings):
        endings = [ending.zfill(9) for ending in endings]
    elif not all(re.fullmatch("[a-z]", ending) for ending in endings):
        return [first, second]
    return [first, second] if endings[0] <= endings[1] else [second, first]


def _core(name: str) -> str:
    words = [word for word in name.lower().split("_") if word and word not in _FILLING]
    return "_".join(words) or name.lower()


def _rank(core: str) -> int:
    return 0 if _ACTIVATION.fullmatch(core) else 2 if _WEIGHT.fullmatch(core) else 1


def find_signed(module: Module, ports: dict[str, str]) -> bool | None:
    """True where the module's name says that plain ports are two's complement (mul8s_..., ..._signed); else None."""
    operands = [port for port in module.ports if port.name in (ports["activation"], ports["weight"])]
    if any(port.signed for port in operands):
        return None
    return True if signed_by_name(module.name) else None


def signed_by_name(name: str) -> bool:
    """Whether a module's name says that it multiplies two's complement numbers."""
    return _SIGNED.search(name) is not None


def why_not(module: Module) -> str | None:
    """Why a module is no multiplier by its looks, in a few words; None for one that may be."""
    directions = [port.direction for port in module.ports]
    if not module.ports:
        return "has no ports (a testbench?)"
    if sorted(directions) != ["input", "input", "output"]:
        count = [f"{directions.count(kind)} {kind}s" for kind in ("input", "output", "inout") if kind in directions]
        return f"has {' and '.join(count) or 'ports without directions'}, where two inputs and one output are wanted"
    if all(port.width == 1 for port in module.ports):
        return "has one-bit ports only (a cell?)"
    if _ADDER.search(module.name) and "mul" not in module.name.lower():
        return "is an adder by its name"
    return None
