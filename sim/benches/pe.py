"""Bench of rtl/accelerator/pe.v: every output after every edge against a model in Python integers."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cocotb

from sim.benches import bus

RANDOM_CYCLES = 600
CONTROLS = ("reset", "load", "valid_in")


class Element:
    """What a processing element holds, by the names of its output ports."""

    def __init__(self, case: bus.Bus) -> None:
        self.mode, self.sum_bits = case.parameters["MODE"], case.parameters["SUM_BITS"]
        self.table = case.table
        self.held: dict[str, int] = {}

    def edge(self, taken: dict[str, int]) -> None:
        """One rising edge of the clock."""
        held = dict(self.held)
        if taken["valid_in"]:
            held["x_out"], held["x_sign_out"] = taken["x_in"], taken["x_sign_in"]
            product = self._product(taken) if self.held.get("enable_out") else 0
            held["sum_out"] = (taken["sum_in"] + product) % (1 << self.sum_bits)
        if taken["load"]:
            held["w_out"], held["w_sign_out"] = taken["w_in"], taken["w_sign_in"]
            held["enable_out"] = taken["enable_in"]
        if taken["reset"]:
            held["enable_out"] = 0
        if self.mode != 2:
            held["x_sign_out"] = held["w_sign_out"] = 0
        held["valid_out"] = int(taken["valid_in"] and not taken["reset"])
        self.held = held

    def _product(self, taken: dict[str, int]) -> int:
        product = int(self.table[taken["x_in"], self.held["w_out"]])
        negative = self.mode == 2 and taken["x_sign_in"] != self.held["w_sign_out"]
        return -product if negative else product


def stimuli(case: bus.Bus, rng: random.Random) -> Iterator[dict[str, int]]:
    """Inputs of each cycle. The first two fill every register, with the enable bit at 0."""

    def garbage(**chosen: int) -> dict[str, int]:
        values = {name: rng.getrandbits(bits) for name, bits in case.inputs}
        return {**values, **dict.fromkeys(CONTROLS, 0), **chosen}

    yield garbage(reset=1)
    yield garbage(reset=1, load=1, valid_in=1)
    yield from (garbage(valid_in=1) for _ in range(4))  # not enabled: sums pass
    x, w = divmod(int(abs(case.table).argmax()), case.table.shape[1])  # the largest product
    highest = (1 << case.parameters["SUM_BITS"]) - 1
    for sign in (0, 1):
        for enable in (1, 0, 1):
            yield garbage(load=1, w_in=w, w_sign_in=sign, enable_in=enable)
            yield from (garbage() for _ in range(3))  # all registers hold
            for total in (0, 1, highest >> 1, (highest >> 1) + 1, highest):  # zero, the largest, the smallest, -1
                yield from (garbage(valid_in=1, x_in=x, x_sign_in=negative, sum_in=total) for negative in (0, 1))
            yield garbage(valid_in=1, x_in=0)  # some circuits have a product of zeros that is not 0
    yield garbage(reset=1)
    yield from (garbage(valid_in=1) for _ in range(4))
    yield garbage(reset=1, load=1, enable_in=1)  # reset goes before load
    yield from (garbage(valid_in=1) for _ in range(2))
    yield garbage(load=1, enable_in=1)
    yield garbage(reset=1, valid_in=1)  # and valid_out is cleared
    yield garbage()
    for _ in range(RANDOM_CYCLES):
        controls = {"reset": rng.random() < 0.02, "load": rng.random() < 0.3, "valid_in": rng.random() < 0.7}
        yield garbage(enable_in=int(rng.random() < 0.8), **{name: int(on) for name, on in controls.items()})
    yield garbage()


async def compare(case: bus.Bus) -> None:
    """Drives one element. Raises bus.Difference at the first output that differs from the model's."""
    model = Element(case)
    for number, values in enumerate(stimuli(case, random.Random(case.seed))):
        found = await case.cycle(values)
        for name, expected in model.held.items():
            if found[name] != expected:
                raise bus.Difference(f"before edge {number}: {name} is {found[name]}, expected {expected}")
        model.edge(values)


@cocotb.test()
async def elements(dut: Any) -> None:
    await bus.run(dut, "pe", compare)
