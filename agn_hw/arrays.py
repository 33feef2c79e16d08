"""The arrays that a plan is for: whether they can be known, and what it spends on them."""

from __future__ import annotations

from typing import Any

from agn_hw.accelerator.savings import IMAGES, Account, described
from agn_hw.accelerator.system import MULTIPLIERS, Hardware
from agn_hw.search.candidates import REFERENCE
from agn_hw.search.pairs import energies, levels
from agn_hw.search.study import Study
from agn_hw.settings import Settings
from agn_hw.summary import Chosen, final
from lut_gen.catalog import Catalog
from lut_gen.element.assembly import plain_flip_flop
from lut_gen.errors import CatalogError, DesignError, LibertyError, ToolError
from lut_gen.library.liberty import Technology

ELEMENTS = "elements"
"""Where synthesised elements are kept, in the folder of trained networks."""


def hardware_for(settings: Settings, catalog: Catalog, technology: Technology | None) -> Hardware | None:
    """The arrays; None where they cannot be known and nothing that is asked for needs them.

    technology: the catalog's, if it is not the built-in one. Raises CatalogError, LibertyError where something does.
    """
    try:
        levels.check(catalog, technology)
        technology = technology or energies.technology_of(catalog)
        plain_flip_flop(technology)
    except (CatalogError, LibertyError):
        if settings.level != MULTIPLIERS or settings.max_latency is not None:
            raise
        return None
    return Hardware(*settings.array, technology, settings.cache / ELEMENTS)


def array_of(study: Study, chosen: dict[str, Chosen]) -> dict[str, Any]:
    """`Plan.array`; empty where arrays are not known."""
    hardware, options = study.hardware, study.options
    if hardware is None:
        return {}
    reference = options.choice(options.everywhere(REFERENCE))
    networks = {kind: (one.network, options.choice(one.names)) for kind, one in chosen.items()}
    with study.stages.stage("arrays", total=(1 + len(networks)) * len(options.operands)) as stage:
        images = study.trials.calibration[:IMAGES]
        try:
            exact = Account.of(hardware, study.quantized, reference, images, stage.step)
            accounts = {kind: Account.of(hardware, *own, images, stage.step) for kind, own in networks.items()}
            kind = final(chosen)
            found = described(hardware, accounts.pop(kind), exact, accounts)
        except (ToolError, DesignError, LibertyError) as error:  # elements were not asked for: a plan stands without
            stage.facts = {"not known": str(error)}
            return {}
        stage.facts = {level: f"{one['energy_relative']:.1%}" for level, one in found["levels"].items()}
    return found
