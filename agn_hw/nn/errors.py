"""The error for a network that cannot be quantised."""

from __future__ import annotations

from typing import Any

from lut_gen.errors import AgnError


class ModelError(AgnError):
    """A model, or what it is given, cannot be quantised."""


def unsupported(name: Any, reason: str) -> ModelError:
    """The error that names a module or function and says why it has no integer form."""
    mend = "give a module that torch.fx can trace: one forward, of tensors, without data-dependent control flow"
    return ModelError("a network that has an integer form", f"'{name}': {reason}", mend)
