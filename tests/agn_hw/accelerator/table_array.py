"""An array without a simulator: products by table, and a fault in it where a test wants one."""

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np

from sim.cosim import Product


class TableArray:
    """Stands in for SystolicArray. fault: what becomes of running totals [k tiles, M, N], in place; lut: the
    multiplier's table, the activation's port first."""

    def __init__(self, lut: np.ndarray, rows: int = 8, cols: int = 8, fault: Callable | None = None) -> None:
        self.lut, self.shape = lut.astype(np.int64), SimpleNamespace(rows=rows, cols=cols, acc_bits=32, saturate=False)
        self.view, self.circuit = "rtl", SimpleNamespace(signed=False)
        self.fault = fault or (lambda totals: None)
        self.waves: list[tuple] = []

    def totals(self, x, w, x_negative=None, w_negative=None):
        products = self.lut[x[:, None], w[None]]
        if x_negative is not None:
            products = np.where(x_negative[:, None] ^ w_negative[None], -products, products)
        starts = np.arange(0, x.shape[1], self.shape.rows)
        totals = np.add.reduceat(products, starts, axis=2).cumsum(axis=2).transpose(2, 0, 1)
        self.fault(totals)
        return totals

    def matmul(self, x, w, x_negative=None, w_negative=None):
        sums = self.totals(x, w, x_negative, w_negative)[-1]
        return Product(sums.astype(np.int32), 100, x.shape[0] * w.size, None)

    def tile_totals(self, x, w, x_negative=None, w_negative=None, *, n_tile):
        columns = slice(n_tile * self.shape.cols, (n_tile + 1) * self.shape.cols)
        return self.totals(x, w, x_negative, w_negative)[:, :, columns]

    def waveform(self, x, w, x_negative=None, w_negative=None, *, k_tile, n_tile, path):
        self.waves.append((x, k_tile, n_tile))
        path.write_text("$end\n")
