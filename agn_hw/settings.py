"""What a co-design run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

LEVELS = {"energy": "multiplier", "pe": "element", "array": "array", "area": "multiplier"}
"""What each objective counts energy of (accelerator/system.py): for area, of what is left equal."""


@dataclass(frozen=True)
class Settings:
    """What to design for. max_drop: accuracy points lost against the float network, at most.

    strategy, objective (one of LEVELS), types, max_area (um2, of one multiplier of each type), max_delay (ns):
    what is least and within which limits, see search/strategies.py and search/solver/problem.py. max_latency: of one
    image (us, search/latency.py). retrain: also look for a cheaper plan whose network is retrained with its tables.
    energy_model: search/pairs/energies.py. array: its rows and columns. liberty: the catalog's cell library if it is
    not the built-in one. data_root, image_size: of a data set that is read from local files, see
    `agn_hw.zoo.data.load`.
    """

    model: str
    data: str
    catalog: Path
    run: Path
    max_drop: float = 1.0
    seed: int = 0
    cache: Path = Path("build/cache")
    data_root: Path | None = None
    image_size: int | None = None
    strategy: str = "kl"
    objective: str = "energy"
    types: int | None = None
    max_area: float | None = None
    max_delay: float | None = None
    max_latency: float | None = None
    retrain: bool = True
    energy_model: str = "weight_stationary"
    liberty: Path | None = None
    array: tuple[int, int] = (8, 8)

    @property
    def level(self) -> str:
        """What the objective counts energy of."""
        return LEVELS[self.objective]
