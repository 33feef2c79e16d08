"""What goes wrong when a network is asked for by name."""

from __future__ import annotations

from lut_gen.errors import AgnError


class ModelError(AgnError):
    """A network that cannot be built here: a package is missing, or the images do not suit it."""


class UnknownModel(ModelError, ValueError):
    """A name that no network has."""
