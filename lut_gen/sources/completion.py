"""What an entry of a list leaves out - top, ports, signedness, cells - found in its sources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.cells import cells_for
from lut_gen.sources.discovery import outermost
from lut_gen.sources.frames import frames
from lut_gen.sources.preprocess import plain_texts
from lut_gen.sources.roles import PORT_ROLES, find_roles, find_signed, signed_by_name
from lut_gen.sources.verilog import Module, modules


@dataclass(frozen=True)
class Completed:
    """Sources with the cells they need, top module, ports by role, and signedness (None: as declared)."""

    files: tuple[Path, ...]
    top: str
    ports: dict[str, str]
    signed: bool | None


def completed(files: list[Path], top: str | None, named: dict[str, str], signed: bool | None, where: str) -> Completed:
    """The entry with everything in it; `named` are its ports by role. Raises DesignError that names `where`.

    a, b and y are the ports of a module that has them, so that most lists need no pyverilog. Where `top` is given,
    sources that cannot be understood are left to synthesis: only their own design fails there.
    """
    usual = {**PORT_ROLES, **named}
    try:
        known = {frame.name: frame for path, text in plain_texts(files).items() for frame in frames(text, path)}
        if top is None:
            top = _only_top(modules(files), where)
        clear = len(named) == 3 or (not named and top in known and known[top].names(PORT_ROLES.values()))
        clear = clear and (signed is not None or not signed_by_name(top))
        module = None if clear or top not in known else modules(files)[top]
    except DesignError:
        if top is None:
            raise
        return Completed(tuple(files), top, usual, signed)
    undefined = {child for frame in known.values() for child in frame.instances} - set(known)
    sources = (*files, *cells_for(undefined, files))
    if module is None:
        return Completed(sources, top, usual, signed)
    try:
        ports = find_roles(module, named)
    except DesignError as error:
        raise DesignError(f"{error.wanted} in {where}", error.came, error.mend) from None
    return Completed(sources, top, ports, find_signed(module, ports) if signed is None else signed)


def _only_top(found: dict[str, Module], where: str) -> str:
    """The one module that looks like a multiplier and that no other such module needs."""
    tops = outermost(found)
    if len(tops) != 1:
        came = f"these could be: {', '.join(tops) or 'none'}"
        raise DesignError(f"one top module in {where}", came, 'name it: top = "..."')
    return tops[0]
