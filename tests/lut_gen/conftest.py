"""What the circuit tests share."""

import pytest

from lut_gen.library import liberty_reader
from lut_gen.library.liberty import Technology


@pytest.fixture(scope="session")
def technology() -> Technology:
    """The built-in technology."""
    return liberty_reader.load()
