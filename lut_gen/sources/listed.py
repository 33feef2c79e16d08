"""Files that a list of designs names, and where they may lie.

Lists come from others too, and the content of their files goes into logs and to the machines of a cluster. So a
file, links followed, lies under the list's folder or among the toolkit's own (`rtl.ROOT`). Only a list that the user
gave by its own name may reach further, to files with a Verilog suffix, by an absolute path or `..` that shows it.
"""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

import rtl
from lut_gen.errors import DesignError

SUFFIXES = (".v", ".vh", ".vlg", ".verilog")


def listed_files(names: Any, path: Path, where: str, by_name: bool) -> list[Path]:
    """Resolved paths of an entry's `files`; `path` is the list, `by_name` whether the user gave it by its name.

    Raises DesignError, which names `where`, for what is no list of file names and for files out of reach.
    """
    if not (isinstance(names, list) and names and all(map(_is_file_name, names))):
        came = f"files = {names!r}"
        raise DesignError(f"a list of file names in {where}", came, 'write files = ["mine.v"]')
    return [_reached(name, path, where, by_name) for name in names]


def _is_file_name(name: Any) -> bool:
    return isinstance(name, str) and "\0" not in name


def _reached(name: str, path: Path, where: str, by_name: bool) -> Path:
    try:
        folder, file = path.parent.resolve(), (path.parent / name).resolve()
    except (OSError, RuntimeError) as error:  # a RuntimeError: links that lead in a circle
        raise DesignError(f"a readable file in {where}", f"{name!r}: {error}", "correct `files`") from None
    shown = PurePath(name).is_absolute() or ".." in PurePath(name).parts
    if any(file.is_relative_to(root) for root in (folder, rtl.ROOT)):
        return file
    if by_name and shown and file.suffix.lower() in SUFFIXES:
        return file
    mend = "copy it there, or give the list by its own name and a Verilog file in it by its real path"
    if by_name:
        mend = f"copy it there, or name a file that ends in {', '.join(SUFFIXES)} by its real path"
    raise DesignError(f"files in the folder of the list, in {where}", f"{name!r} leads to {file}", mend)
