"""One multiplier a layer: least energy within a budget of predicted loss, solved to optimality.

    minimise   sum macs[l] * energy[m] * pick[l, m]
    subject to sum loss[l, m] * pick[l, m] <= budget,  sum over m of pick[l, m] = 1,  pick binary

A mixed-integer linear program for HiGHS (through scipy).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from lut_gen.errors import AgnError


class AssignmentError(AgnError):
    """No assignment meets the budget."""


@dataclass(frozen=True)
class Candidate:
    """One multiplier for one layer: total energy of the layer an image, fJ, and predicted loss, nats."""

    layer: str
    multiplier: str
    energy_fj: float
    loss: float


@dataclass(frozen=True)
class Assignment:
    """The choice by layer, its energy an image (fJ) and predicted loss (nats), and the solver's relative gap."""

    choice: dict[str, str]
    energy_fj: float
    loss: float
    gap: float


def assign(candidates: list[Candidate], budget: float) -> Assignment:
    """The cheapest choice whose summed loss is at most `budget`. Raises AssignmentError when there is none."""
    candidates = undominated(candidates)
    layers = list(dict.fromkeys(candidate.layer for candidate in candidates))
    energy = np.array([candidate.energy_fj for candidate in candidates])
    loss = np.array([candidate.loss for candidate in candidates])
    rows = [layers.index(candidate.layer) for candidate in candidates]
    one_each = coo_array((np.ones(len(rows)), (rows, np.arange(len(rows)))), shape=(len(layers), len(rows))).tocsr()
    # scaled to numbers near 1, which the solver's tolerances are made for
    scale = max(budget, 1e-12)
    constraints = [LinearConstraint(one_each, 1, 1), LinearConstraint(loss[None, :] / scale, -np.inf, 1.0)]
    with _silent_stdout():
        result = milp(
            energy / energy.max(),
            integrality=np.ones(len(energy)),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
    if result.x is None:
        least = sum(min(c.loss for c in candidates if c.layer == layer) for layer in layers)
        raise AssignmentError(
            f"an assignment with a predicted loss of at most {budget:.3g}",
            f"the least possible is {least:.3g}",
            "allow more loss, or add more exact multipliers to the catalog",
        )
    picked = np.flatnonzero(result.x > 0.5)
    choice = {candidates[i].layer: candidates[i].multiplier for i in picked}
    gap = float(result.mip_gap or 0.0)
    return Assignment(choice, float(energy[picked].sum()), float(loss[picked].sum()), gap)


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """HiGHS prints a debugging line now and then, whatever it is told; keep it off the user's terminal."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def undominated(candidates: list[Candidate]) -> list[Candidate]:
    """Without those that another of the same layer beats in energy and loss: no optimum needs them."""
    kept = []
    for layer in dict.fromkeys(candidate.layer for candidate in candidates):
        least = np.inf
        own = [candidate for candidate in candidates if candidate.layer == layer]
        for candidate in sorted(own, key=lambda c: (c.energy_fj, c.loss, c.multiplier)):
            if candidate.loss < least:
                least = candidate.loss
                kept.append(candidate)
    return kept


def front(candidates: list[Candidate], budgets: np.ndarray) -> list[Assignment]:
    """The distinct optimal assignments over a range of budgets, cheapest last; infeasible budgets are left out."""
    found: list[Assignment] = []
    for budget in sorted(budgets):
        try:
            assignment = assign(candidates, float(budget))
        except AssignmentError:
            continue
        if not found or assignment.choice != found[-1].choice:
            found.append(assignment)
    return found
