"""Reads the pickled dictionaries of CIFAR's Python version without running anything that they hold.

A pickle may name any function to be called. Here a name gives one of three stand-ins, which only keep what they are
handed, or an error; numpy itself is never called. The pure-Python unpickler is used: the compiled one allocates as
much memory as a damaged file asks for.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

RECONSTRUCT = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct")}


class Refused(Exception):
    """The pickle holds something else than numbers, texts, lists, dictionaries and byte arrays."""


def read_dictionary(data: bytes) -> dict[str, Any]:
    """The dictionary in a pickle; keys as text, uint8 arrays as arrays. Raises Refused."""
    try:
        found = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        if not isinstance(found, dict):
            raise Refused(f"a {type(found).__name__} in place of a dictionary")
        return {_text(key): _value(value) for key, value in found.items()}
    except Refused:
        raise
    except Exception as error:  # a damaged pickle fails in many ways
        raise Refused(f"{type(error).__name__}: {error}") from None


_PLAIN: Any = pickle._Unpickler


class _Unpickler(_PLAIN):
    """Dictionaries have texts as keys: to hash or print what a few bytes can nest would never end."""

    dispatch: ClassVar[dict[int, Any]] = dict(_PLAIN.dispatch)
    for _unused in (pickle.EMPTY_SET, pickle.ADDITEMS, pickle.FROZENSET):
        del dispatch[_unused[0]]

    def _set_item(self) -> None:
        _text(self.stack[-2])
        self.load_setitem()

    def _set_items(self) -> None:
        self._check_keys()
        self.load_setitems()

    def _dictionary(self) -> None:
        self._check_keys()
        self.load_dict()

    def _check_keys(self) -> None:
        for key in self.stack[::2]:
            _text(key)

    dispatch[pickle.SETITEM[0]], dispatch[pickle.SETITEMS[0]] = _set_item, _set_items
    dispatch[pickle.DICT[0]] = _dictionary

    def find_class(self, module: str, name: str) -> Any:
        """Names give functions made anew: a file cannot change what the next one gets."""
        if (module, name) in RECONSTRUCT:
            return lambda kind, shape, code: _Array()
        if (module, name) == ("numpy", "ndarray"):
            return None
        if (module, name) == ("numpy", "dtype"):
            return lambda code, *flags: _Type(code)
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: _text(text).encode("latin-1")
        raise Refused(f"it asks for {module}.{name}")


class _Type:
    """What stands for numpy.dtype."""

    def __init__(self, code: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment: of no meaning for bytes."""


class _Array:
    """What stands for numpy.ndarray: its state."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> NDArray[np.uint8]:
        _, shape, kind, by_columns, data = self.state
        if not isinstance(kind, _Type) or _text(kind.code) != "u1" or by_columns or not isinstance(data, bytes):
            raise Refused("an array of something else than bytes in row order")
        return np.frombuffer(data, np.uint8).reshape(shape)


def _text(value: Any) -> str:
    if not isinstance(value, (bytes, str)):
        raise Refused(f"a {type(value).__name__} in place of a text")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _value(value: Any) -> Any:
    return value.value() if isinstance(value, _Array) else value
