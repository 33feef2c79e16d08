"""Multipliers in a user's Verilog: which modules they are, and exactly the files that each needs.

A multiplier has two inputs and one output (`roles.why_not`), and no other multiplier instantiates it; testbenches
and machines around it do not count. A name means the module of the same file first, then that of another file,
then a known cell (`cells`). What is left out is told, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lut_gen.errors import DesignError
from lut_gen.sources.cells import cells_for
from lut_gen.sources.frames import plain_name
from lut_gen.sources.includes import includes_of, named_files
from lut_gen.sources.preprocess import plain_texts
from lut_gen.sources.roles import find_roles, find_signed, why_not
from lut_gen.sources.source import read_source
from lut_gen.sources.verilog import Module, modules_of


@dataclass(frozen=True)
class Found:
    """A multiplier: its top module, the files it needs, its ports by role, and its signedness (None: as declared)."""

    name: str
    files: tuple[Path, ...]
    top: str
    ports: dict[str, str]
    signed: bool | None


@dataclass
class Sources:
    """Files with the modules they define. `units` gives what a file needs read before it: includes, macros."""

    modules: dict[Path, Mapping[str, Module]] = field(default_factory=dict)
    units: dict[Path, tuple[Path, ...]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def find_multipliers(files: list[Path], helpers: Iterable[Path] = ()) -> tuple[list[Found], list[str]]:
    """Multipliers of files, in order, and a line for each file or module left out, renamed or guessed to be signed.

    They are called like their file if it has no other, else like their module; where that name is taken, like
    FILE_MODULE, or else with a number behind it, in order.

    `helpers` are further files that may be included, instantiated from or name macros, but are not searched.
    Raises DesignError for a single file that cannot be read.
    """
    sources = _read(files, helpers)
    used = {name for defined in sources.modules.values() for module in defined.values() for name in module.instances}
    helping = {other for path, unit in sources.units.items() for other in unit if other != path}
    outer = set(_outermost(sources, files))
    found: list[Found] = []
    taken: set[str] = set()
    for path in files:
        tops = [name for name in sources.modules.get(path, {}) if (path, name) in outer]
        for top in tops:
            try:
                one = _found(path, top, sources, taken, alone=len(tops) == 1)
            except DesignError as error:
                sources.left_out.append(_line(path, error))
                continue
            taken.add(one.name)
            found.append(one)
            if one.signed:
                guess = f"{path.name}: '{top}' is taken as two's complement because of its name"
                sources.left_out.append(f"{guess}; say signed = false in a list")
        if not sources.modules.get(path, True) and path not in helping:
            sources.left_out.append(f"{path.name}: no module stands in it")
        if path in sources.modules:
            sources.left_out += _left_out(path, sources.modules[path], used, bool(tops))
    return found, sorted(sources.left_out)


def _read(files: list[Path], helpers: Iterable[Path]) -> Sources:
    """Reads each file for itself: one that cannot be understood is told and does not stop the others."""
    sources = Sources()
    raw = {}
    for path in (*files, *helpers):
        try:
            raw[path] = read_source(path).decode("utf-8", errors="replace")
        except DesignError as error:
            if len(files) == 1:
                raise
            sources.left_out.append(_line(path, error))
    included = {path for text in raw.values() for name in includes_of(text) for path in named_files(name, raw)}
    defining = [path for path, text in raw.items() if "`define" in text and not re.search(r"\bmodule\b", text)]
    defining = [path for path in defining if path not in included]
    for path in raw:
        own = _with_includes(path, raw)
        first: DesignError | None = None
        for unit in (own, (*(other for other in defining if other not in own), *own)):
            try:
                sources.modules[path] = modules_of(plain_texts(unit).get(path, ""), path)
                sources.units[path] = unit
                break
            except DesignError as error:
                first = first or error
        if path in files and path not in sources.modules and first is not None:
            if len(files) == 1:
                raise first
            sources.left_out.append(_line(path, first))
    return sources


def _line(path: Path, error: DesignError) -> str:
    return f"{path.name}: wanted {error.wanted}, but {error.came}; to mend: {error.mend}"


def outermost(found: Mapping[str, Module]) -> list[str]:
    """Names of the multipliers among one design's modules that no other multiplier there needs."""
    here = Path()
    return [name for _, name in _outermost(Sources({here: found}), [here])]


def _outermost(sources: Sources, files: list[Path]) -> list[tuple[Path, str]]:
    looks = [(path, name) for path in files for name, one in sources.modules.get(path, {}).items() if not why_not(one)]
    inner = {place for one in looks for place in _reached(one, sources)[0][1:]}
    return [one for one in looks if one not in inner]


def _with_includes(path: Path, raw: Mapping[Path, str]) -> tuple[Path, ...]:
    unit, waiting = {path: None}, [path]
    while waiting:
        for name in includes_of(raw[waiting.pop()]):
            for included in named_files(name, raw):
                if included not in unit:
                    unit[included] = None
                    waiting.append(included)
    return tuple(unit)


def _reached(start: tuple[Path, str], sources: Sources) -> tuple[list[tuple[Path, str]], set[str]]:
    """Modules that one needs, itself first, with their files; and names that no file defines."""
    order, undefined = {start: None}, set()
    waiting = [start]
    while waiting:
        path, name = waiting.pop()
        for child in sources.modules[path][name].instances:
            place = _definition(child, path, sources)
            if place is None:
                undefined.add(child)
            elif place not in order:
                order[place] = None
                waiting.append(place)
    return list(order), undefined


def _definition(name: str, path: Path, sources: Sources) -> tuple[Path, str] | None:
    """Where a module is defined, seen from a file. Raises DesignError where two other files define it."""
    if name in sources.modules[path]:
        return path, name
    others = [other for other, defined in sources.modules.items() if name in defined]
    return (others[0], name) if others else None


def _found(path: Path, top: str, sources: Sources, taken: set[str], alone: bool) -> Found:
    module = sources.modules[path][top]
    ports = find_roles(module, {})
    odd = [name for name in (top, *ports.values()) if not plain_name(name)]
    if odd:
        mend = "rename it, or wrap it in a module of plain names"
        raise DesignError("a module and ports of plain names", f"'{odd[0]}' came", mend)
    reached, undefined = _reached((path, top), sources)
    for place in reached:
        others = [other.name for other, defined in sources.modules.items() if place[1] in defined]
        if place[0] != path and len(others) > 1:
            came = f"{', '.join(others)} define it"
            raise DesignError(f"one file with the module '{place[1]}'", came, "list the design's files in a .toml list")
    needed = dict.fromkeys(file for place in reached for file in sources.units[place[0]])
    files = [*needed, *cells_for(undefined, needed)]
    name, wanted = _free_name(path.stem if alone else top, f"{path.stem}_{top}", taken)
    if name != wanted:
        sources.left_out.append(f"{path.name}: '{top}' is called {name}, for the name {wanted} is taken")
    return Found(name, tuple(file.resolve() for file in files), top, ports, find_signed(module, ports))


def _left_out(path: Path, modules: Mapping[str, Module], used: set[str], has_multiplier: bool) -> Iterator[str]:
    """A line for each module of a file that nothing instantiates and that is no multiplier."""
    for name, module in modules.items():
        reason = why_not(module)
        is_cell = reason is not None and "one-bit" in reason
        if reason is not None and name not in used and not (is_cell and has_multiplier):
            yield f"{path.name}: '{name}' {reason}"


def _free_name(text: str, longer: str, taken: set[str]) -> tuple[str, str]:
    """A design's name that is not taken, and the one that was wanted."""
    wanted, second = safe_name(text), safe_name(longer)
    numbered = (f"{wanted[:94]}_{count}" for count in range(2, len(taken) + 3))
    return next(name for name in (wanted, second, *numbered) if name not in taken), wanted


def safe_name(text: str) -> str:
    """A design's name out of any text."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip("_.-")[:100] or "design"
