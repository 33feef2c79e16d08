"""What a co-design run is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """What to design for. max_drop: accuracy points lost against the float network, at most."""

    model: str
    data: str
    catalog: Path
    run: Path
    max_drop: float = 1.0
    seed: int = 0
    cache: Path = Path("build/cache")
