"""How sure a measured accuracy is: bootstrap intervals over the images it was measured on."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 4000
_SEED = 0


def interval(values: torch.Tensor) -> tuple[float, float]:
    """The 95 % interval of the mean of `values` [N], by resampling the images: Efron's percentile bootstrap (1979).

    Of hits (bool) for an accuracy; of differences of hits for a loss, which pairs the two networks' answers image by
    image. The same values give the same interval. Values that are all equal give an interval of length 0.
    """
    sample = values.double().numpy()
    if len(sample) < 2 or np.all(sample == sample[0]):
        mean = float(sample.mean())
        return mean, mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (sample,),
            np.mean,
            n_resamples=RESAMPLES,
            batch=max(1, 2**22 // len(sample)),
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(_SEED),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
