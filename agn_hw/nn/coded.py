"""What every module of an integer network has: an output in codes, of one range and one scale.

The scale of an edge is one tensor, shared by the module that makes the codes and those that take them. It is a
parameter that does not ask for gradients, until `learn_steps` lets it (learned step sizes: Esser et al., "Learned step
size quantization", ICLR 2020). The gradient is what the straight-through rule gives, rounding error and clipping both,
times 1 / sqrt(numbers of that scale * largest code), as there, so that scales and weights can share a learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from agn_hw.codes import SIGNED, Codes, signed, unsigned
from agn_hw.nn.requantize import with_gradient
from agn_hw.nn.scheme import Scheme

SCHEMA = 2
"""Of the saved state: 1 had no `_extra_state`, and other names for some scales."""


WIDE = 16
"""Bits of an output that is only used as real numbers: logits, and what float parts take."""


def new_scale(value: float = 1.0) -> nn.Parameter:
    """A scale, float64 scalar, at rest."""
    return nn.Parameter(torch.tensor(value, dtype=torch.float64), requires_grad=False)


class Coded(nn.Module):
    """out_codes: the range of the output's codes. out_scale: float64 scalar, what one code is worth.

    scheme: how the output is quantised; bits: of its codes; numbers: how many an output has for one image; shares: what
    the gradient of each scale is multiplied by. Subclasses name their input scales, in the order of their
    arguments, in SOURCES, and may say in RENAMED what older states called things.
    """

    SOURCES: tuple[str, ...] = ("in_scale",)
    RENAMED: dict[str, str] = {}  # noqa: RUF012 - never written
    out_scale: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        self.out_scale = new_scale()
        self.out_codes = SIGNED
        self.in_codes: tuple[Codes, ...] = (SIGNED,) * len(self.SOURCES)
        self.scheme, self.bits = Scheme(), 8
        self.numbers = 1
        self.shares = dict.fromkeys(("out_scale", *self.SOURCES), 1.0)
        for name in self.SOURCES:
            self.register_parameter(name, new_scale())

    def step(self, name: str) -> torch.Tensor:
        """The scale of this name, as it is used where gradients may be needed."""
        return with_gradient(getattr(self, name), self.shares[name])

    def share(self) -> float:
        """Of the output's scale: see the top of this file."""
        return 1 / (self.numbers * max(self.out_codes.largest, 1)) ** 0.5

    def nonnegative(self) -> bool:
        """Whether the output cannot be negative, given `in_codes`."""
        return not any(codes.signed for codes in self.in_codes)

    def settle(self, *in_codes: Codes) -> None:
        """Takes the ranges of its inputs; the output's follows."""
        self.in_codes = in_codes
        negative = not self.nonnegative()
        self.out_codes = signed(self.bits) if negative else unsigned(min(self.bits, WIDE - 1))

    def finest_scale(self) -> torch.Tensor:
        """What one code of the product, sum or function is worth before it is rescaled: finer outputs say no more."""
        return self.out_scale.detach() * 0.0

    def real(self, *values: torch.Tensor) -> torch.Tensor:
        """The same in real numbers, without any rounding of activations: what calibration sees."""
        raise NotImplementedError

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        """Moves between devices; half() and the like change no number, for the hardware computes with these."""

        def moved(tensor: torch.Tensor) -> torch.Tensor:
            made = fn(tensor)
            return made if made.dtype == tensor.dtype else tensor.to(made.device)

        return super()._apply(moved, recurse)

    def get_extra_state(self) -> dict[str, Any]:
        ranges = {"out_codes": list(self.out_codes), "in_codes": [list(codes) for codes in self.in_codes]}
        return {"schema": SCHEMA, "bits": self.bits, "shares": dict(self.shares), **ranges}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        if state["schema"] > SCHEMA:
            raise RuntimeError(
                f"wanted a saved network of schema {SCHEMA} or older, {state['schema']} came; update agn-hw"
            )
        self.bits = int(state["bits"])
        self.shares = {name: float(share) for name, share in state["shares"].items()}
        self.out_codes = Codes(*map(int, state["out_codes"]))
        self.in_codes = tuple(Codes(*map(int, codes)) for codes in state["in_codes"])

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Makes today's names of an older state's."""
        for old, new in self.RENAMED.items():
            if prefix + old in state_dict:
                state_dict[prefix + new] = state_dict.pop(prefix + old)
        if prefix + "_extra_state" not in state_dict:  # schema 1: all of 8 bits, and one code more below zero
            if self.out_codes == SIGNED:
                self.out_codes = Codes(SIGNED.low - 1, SIGNED.high)
            state_dict[prefix + "_extra_state"] = self.get_extra_state()
        super()._load_from_state_dict(state_dict, prefix, *rest)


def scales(model: nn.Module) -> list[nn.Parameter]:
    """All scales of an integer network, those of weights too, each once."""
    found: dict[int, nn.Parameter] = {}
    for module in model.modules():
        if isinstance(module, Coded):
            for name, parameter in module.named_parameters(recurse=False):
                if name.endswith("_scale"):
                    found[id(parameter)] = parameter
    return list(found.values())


def learn_steps(model: nn.Module, learn: bool = True) -> None:
    """Lets the step sizes (scales) of a quantised network be trained, in place, or holds them still again.

    Those of 16-bit outputs rest: there is nothing to gain. In a loop of one's own, scales need far smaller steps than
    weights: they are as small as 1e-5, and must stay positive (`agn_hw.fit` sees to both).
    """
    wide = {id(module.out_scale) for module in model.modules() if isinstance(module, Coded) and module.bits == WIDE}
    for scale in scales(model):
        scale.requires_grad_(learn and id(scale) not in wide)
