"""What all tests share: the list of designs, the catalog built from it, and the outside data's places."""

import os
from pathlib import Path

import pytest

import rtl
from lut_gen.catalog import Catalog
from lut_gen.characterize import build
from lut_gen.design import Design, gather

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def designs() -> list[Design]:
    paths = os.environ.get("AGN_HW_DESIGNS", str(rtl.MULTIPLIERS)).split()
    return gather([Path(path) for path in paths])


@pytest.fixture(scope="session")
def catalog(designs: list[Design]) -> Catalog:
    """The catalog of `make luts`, brought up to date (nothing to do after `make luts`)."""
    folder = Path(os.environ.get("AGN_HW_CATALOG", ROOT / "build" / "catalog"))
    failed = [outcome for outcome in build(designs, folder) if outcome.error]
    assert not failed, failed[0].error
    return Catalog.load(folder)


@pytest.fixture(scope="session")
def outside_liberty() -> Path:
    """The original SKY130 Liberty file."""
    if "AGN_HW_TEST_LIBERTY" not in os.environ:
        pytest.skip("AGN_HW_TEST_LIBERTY names no sky130_fd_sc_hd typical Liberty file")
    return Path(os.environ["AGN_HW_TEST_LIBERTY"])


@pytest.fixture(scope="session")
def evoapprox() -> Path:
    """Folder with EvoApproxLib's tables.npz and figures.csv."""
    if "AGN_HW_EVOAPPROX" not in os.environ:
        pytest.skip("AGN_HW_EVOAPPROX names no folder with EvoApproxLib's tables")
    return Path(os.environ["AGN_HW_EVOAPPROX"])
