"""Slow, obvious counterpart of pe.v: whole numbers, one element, one clock edge at a time."""

from dataclasses import dataclass

import numpy as np


@dataclass
class Element:
    """A processing element with a table for its multiplier: table[x, w], as MODE 1 (signed) or 2 reads it."""

    table: np.ndarray
    signed: bool
    sum_bits: int
    valid_out: int = 0
    x_out: int = 0
    x_sign_out: int = 0
    w_out: int = 0
    w_sign_out: int = 0
    enable_out: int = 0
    sum_out: int = 0

    def clock(self, reset, load, valid_in, x_in, x_sign_in, w_in, w_sign_in, enable_in, sum_in) -> None:
        """One rising edge with these inputs."""
        product = int(self.table[x_in, self.w_out])
        if not self.signed and x_sign_in != self.w_sign_out:
            product = -product
        total = sum_in + (product if self.enable_out else 0)
        if valid_in:
            self.x_out, self.sum_out = x_in, total % 2**self.sum_bits
            self.x_sign_out = 0 if self.signed else x_sign_in
        if load:
            self.w_out, self.enable_out = w_in, enable_in
            self.w_sign_out = 0 if self.signed else w_sign_in
        if reset:
            self.enable_out = 0
        self.valid_out = valid_in and not reset
