"""The plan on disk (plan.json), versioned: written by co-design, read by whatever builds or checks hardware."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from lut_gen.errors import AgnError

SCHEMA_VERSION = 1


class PlanError(AgnError):
    """A plan is missing, damaged or of another version."""


@dataclass(frozen=True)
class LayerPlan:
    """One layer. macs: multiplications an image; energy_fj: of one multiplication, sign logic included.

    predicted_kl: measured with this layer alone approximate, nats; None where it was not measured.
    """

    name: str
    type: str
    macs: int
    multiplier: str
    energy_fj: float
    energy_model: str
    mapping: dict[str, Any]
    operands: dict[str, float]
    predicted_kl: float | None


@dataclass(frozen=True)
class Plan:
    """The whole plan. Energies in fJ, accuracies as fractions, `drop_points` in percentage points."""

    model: str
    data: dict[str, Any]
    layers: list[LayerPlan]
    totals: dict[str, Any]
    baselines: dict[str, Any]
    front: list[dict[str, Any]]
    provenance: dict[str, Any]
    array: dict[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    folder: Path | None = field(default=None, compare=False)
    """Where it was loaded from; not part of the file."""

    def to_json(self) -> str:
        content = asdict(self)
        del content["folder"]
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def load(cls, run: str | Path) -> Plan:
        """Reads RUN/plan.json. Raises PlanError."""
        path = Path(run) / "plan.json"
        try:
            content = json.loads(path.read_text())
            version = content["schema_version"]
            if version != SCHEMA_VERSION:
                wanted, came = f"a plan of schema version {SCHEMA_VERSION}", f"{path} has version {version}"
                raise PlanError(wanted, came, "run `agn-hw codesign` again")
            layers = [LayerPlan(**layer) for layer in content.pop("layers")]
            _check(layers, content)
            others = {f.name: content[f.name] for f in fields(cls) if f.name not in ("layers", "folder")}
            return cls(layers=layers, folder=Path(run), **others)
        except (OSError, ValueError, KeyError, TypeError) as error:
            came = f"{path}: {type(error).__name__}: {error}"
            raise PlanError("a readable plan.json", came, "run `agn-hw codesign` again") from None


def _check(layers: list[LayerPlan], content: dict[str, Any]) -> None:
    """Raises TypeError for what is not of its type, where people and simulations would stumble over it."""
    for layer in layers:
        numbers = {"macs": layer.macs, "energy_fj": layer.energy_fj}
        wrong = [name for name, value in numbers.items() if not isinstance(value, (int, float))]
        if wrong or not isinstance(layer.mapping, dict):
            raise TypeError(f"{wrong[0] if wrong else 'mapping'} of layer {layer.name}")
    for name in ("data", "totals", "baselines", "provenance", "array"):
        if not isinstance(content[name], dict):
            raise TypeError(f"{name} is no object")
