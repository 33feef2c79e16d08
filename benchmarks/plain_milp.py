"""The assignment problem written out for HiGHS (through scipy): right by inspection, slow with limits on all layers.

Variables: pick[budget, row, column], only where allowed, then use[column]; pick <= use.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from agn_hw.search.solver.branching import Solution
from agn_hw.search.solver.problem import Problem


def solve(problem: Problem, seconds: float) -> Solution | None:
    """The best solution that HiGHS finds in the time, None when there is none (or none was found)."""
    points, columns = len(problem.budgets), len(problem.multipliers)
    row, column = np.nonzero(np.isfinite(problem.loss))
    count = len(row)
    used_columns = points * count + np.arange(columns)
    cost = np.concatenate([np.outer(problem.weights, problem.cost[row, column]).ravel(), problem.opening])
    size = len(cost)
    scale = max(float(np.abs(cost).max()), 1e-300)
    constraints = []
    for point, budget in enumerate(problem.budgets):
        own = point * count + np.arange(count)
        one_each = coo_array((np.ones(count), (row, own)), shape=(len(problem.tiles), size)).tocsr()
        constraints.append(LinearConstraint(one_each, 1, 1))
        # scaled to numbers near 1, which the solver's tolerances are made for
        unit = max(budget, 1e-12)
        losses = coo_array((problem.loss[row, column] / unit, (np.zeros(count, dtype=int), own)), shape=(1, size))
        constraints.append(LinearConstraint(losses.tocsr(), -np.inf, budget / unit))
        entries, each = np.ones(count), np.arange(count)
        pick = coo_array((entries, (each, own)), shape=(count, size))
        use = coo_array((entries, (each, used_columns[column])), shape=(count, size))
        constraints.append(LinearConstraint((pick - use).tocsr(), -np.inf, 0))
    for limit, amount in ((problem.types, np.ones(columns)), (problem.room, problem.area)):
        if limit is not None and np.isfinite(limit):
            total = np.zeros((1, size))
            total[0, used_columns] = amount / max(limit, 1e-12)
            constraints.append(LinearConstraint(total, -np.inf, 1))
    result = milp(
        cost / scale,
        integrality=np.ones(size),
        bounds=Bounds(0, 1),
        constraints=constraints,
        options={"mip_rel_gap": 0.0, "time_limit": seconds},
    )
    if result.x is None:
        return None
    picks = np.zeros((points, len(problem.tiles)), dtype=np.int64)
    for point in range(points):
        chosen = np.flatnonzero(result.x[point * count : (point + 1) * count] > 0.5)
        picks[point, row[chosen]] = column[chosen]
    return Solution(picks, float(result.mip_dual_bound) * scale)
