"""Which limit is in the way when there is no assignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from agn_hw.search.solver.problem import AssignmentError, Limits, Problem, least_loss

Least = Callable[[Problem], float | None]
"""The least cost of a problem, None where it has no solution or none was found in time."""


def impossible(problem: Problem, limits: Limits, budget: float, least: Least) -> AssignmentError:
    """The error to raise for a problem without a solution. budget: the tightest; least: solves related problems."""
    possible = float(problem.loss.min(axis=1).sum())
    wanted = f"an assignment with a predicted loss of at most {budget:.3g}"
    if possible > budget:
        mend = "allow more loss, or add more exact multipliers to the catalog"
        asked = {"area": limits.area_um2, "delay": limits.delay_ns, "exclusions": limits.excluded,
                 "groups": limits.groups}  # fmt: skip
        held = [name for name, value in asked.items() if value]
        mend += f", or loosen the limits on {', '.join(held)}" if held else ""
        return AssignmentError(wanted, f"the least possible is {possible:.3g}", mend)
    if limits.types is not None:
        types = f"{limits.types} multiplier type{'s' if limits.types > 1 else ''}"
        found = least(replace(least_loss(problem), room=np.inf))
        if found is None or found > budget:
            came = f"no {types} can do every layer"
            if found is not None:
                came = f"the least possible with {types} is {found:.3g}"
            return AssignmentError(f"{wanted} from at most {types}", came, "allow more types, or more loss")
        wanted += f" from at most {types}"
    if limits.area_um2 is None:
        return AssignmentError(wanted, "none was found in time", "allow more seconds, or more loss")
    wanted += f" in arrays of at most {limits.area_um2:.4g} um2"
    found = least(_least_area(problem))
    came = "none was found in time" if found is None else f"the smallest that do have {found:.4g} um2"
    return AssignmentError(wanted, came, "allow more area, or more loss")


def _least_area(problem: Problem) -> Problem:
    """The least area that meets the budgets."""
    free = np.where(np.isfinite(problem.loss), 0.0, np.inf)
    return replace(problem, cost=free, opening=problem.area, room=np.inf)
