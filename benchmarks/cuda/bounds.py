"""What a device could do at best, on paper: tensor cores and shared memory, at the clock that it ran at."""

from __future__ import annotations

from dataclasses import dataclass

import torch

INT8_PER_CLOCK = {"7.5": 1024, "8.0": 2048, "8.6": 1024, "8.9": 1024, "9.0": 4096}
"""Dense int8 multiply-adds of one multiprocessor and clock, by compute capability (NVIDIA's white papers)."""
SHARED_PER_CLOCK = 128
"""Bytes that a multiprocessor reads from shared memory in a clock."""


@dataclass(frozen=True)
class Machine:
    """name: of the device; capability: "9.0"; multiprocessors; clock: Hz, as measured under load, or None."""

    name: str
    capability: str
    multiprocessors: int
    clock: float | None = None

    def seconds(self, lookups: int, terms: int, planes: int) -> float | None:
        """The least time of a product of a table split like this: a multiply-add for each term, a byte of shared memory
        for each residual byte, one after the other. None if the clock or the architecture is unknown."""
        rate = INT8_PER_CLOCK.get(self.capability)
        if rate is None or self.clock is None:
            return None
        return lookups * (terms / rate + planes / SHARED_PER_CLOCK) / (self.multiprocessors * self.clock)


def machine(device: torch.device, clock: float | None = None) -> Machine:
    if device.type != "cuda":
        return Machine("cpu", "", 1, None)
    facts = torch.cuda.get_device_properties(device)
    return Machine(facts.name, f"{facts.major}.{facts.minor}", facts.multi_processor_count, clock)


def split_of(lut: torch.Tensor) -> tuple[int, int] | None:
    """Terms and residual bytes of a table's form on its device; None on a processor."""
    if not lut.is_cuda:
        return None
    from agn_hw.kernels.cuda import form

    numbers = form.of(lut).numbers
    return numbers.terms, numbers.planes
