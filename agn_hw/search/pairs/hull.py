"""Lower convex hulls of many sets of points at once: which of many straight lines is lowest, everywhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Hulls(NamedTuple):
    """Corners of the lower hulls of some mappings, mapping after mapping, `linear` rising within each; arrays [V].

    starts: [mappings + 1], the first corner of each mapping, and V. right: slope of the hull's edge from this corner to
    the next, infinite at the last of a mapping.
    """

    starts: np.ndarray
    pattern: np.ndarray
    linear: np.ndarray
    constant: np.ndarray
    right: np.ndarray


def lower_hulls(linear: np.ndarray, constant: np.ndarray) -> Hulls:
    """Lower convex hull of each row of points [mapping, pattern].

    Points on or above the chord of their neighbours go, all at once, until none is left: no corner of the hull is ever
    above a chord. Of equal points the first pattern stays.
    """
    width = linear.shape[1]
    points = (np.lexsort((constant, linear)) + width * np.arange(len(linear))[:, None]).ravel()
    linear, constant = linear.ravel(), constant.ravel()
    last = points[:-1] // width != points[1:] // width
    points = points[np.append(True, last | (np.diff(linear[points]) > 0))]
    while True:
        owner = points // width
        last = np.flatnonzero(np.diff(owner))
        run, rise = np.diff(linear[points]), np.diff(constant[points])
        run[last] = 1.0
        left, right = np.full(len(points), -np.inf), np.full(len(points), np.inf)
        left[1:] = right[:-1] = rise / run
        left[last + 1], right[last] = -np.inf, np.inf
        stays = left < right
        if stays.all():
            starts = np.concatenate([[0], last + 1, [len(points)]])
            return Hulls(starts, points % width, linear[points], constant[points], right)
        points = points[stays]
