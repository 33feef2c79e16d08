"""Design: what is to be synthesised - sources, top, parameters, operand ports, signedness.

Lists of designs are TOML files (`rtl/multipliers.toml` explains each key). What a list leaves out, and what bare
Verilog files and folders do not say, is found in the sources (`discovery`, `roles`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from lut_gen.errors import DesignError
from lut_gen.files import NAME
from lut_gen.sources.completion import Completed, completed
from lut_gen.sources.discovery import find_multipliers
from lut_gen.sources.folders import folder_files, folder_lists
from lut_gen.sources.frames import plain_name
from lut_gen.sources.listed import listed_files
from lut_gen.sources.preprocess import plain_texts
from lut_gen.sources.roles import PORT_ROLES
from lut_gen.sources.source import read_source

_LONG_FIELD = re.compile(r":[^}]*(\{|\d{3})")
_KEYS = {"name", "family", "files", "top", "ports", "signed", "parameters", "points"}
LARGEST_LIST = 10_000_000
"""Bytes of a list of designs."""


@dataclass(frozen=True)
class Design:
    """One multiplier to characterise. `signed` None means: as the ports are declared."""

    name: str
    family: str
    files: tuple[Path, ...]
    top: str
    parameters: dict[str, int] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=lambda: dict(PORT_ROLES))
    signed: bool | None = None

    def texts(self) -> dict[Path, str]:
        """The sources' preprocessed texts, as tools get them, in order. Raises DesignError."""
        return plain_texts(self.files)

    def source_sha256(self) -> str:
        """Hash of the sources' bytes, in order, and of their names where some source includes others.

        Raises DesignError for an unreadable file.
        """
        digest = hashlib.sha256()
        contents = [read_source(path) for path in self.files]
        for data in contents:
            digest.update(len(data).to_bytes(8, "little") + data)
        if any(b"`include" in data for data in contents):
            common = os.path.commonpath([path.absolute().parent for path in self.files])
            names = [os.path.relpath(path.absolute(), common) for path in self.files]
            digest.update(json.dumps(names).encode())
        return digest.hexdigest()

    def description(self) -> str:
        """Canonical text of everything but the sources (identity of a result)."""
        ports = {role: self.ports[role] for role in PORT_ROLES}
        parts = [self.name, self.family, self.top, dict(sorted(self.parameters.items())), ports, self.signed]
        return json.dumps(parts)


def gather(paths: list[Path], left_out: list[str] | None = None) -> list[Design]:
    """Designs of TOML lists, Verilog files and folders, in this order.

    Of a folder every .toml that holds designs is taken, else the list that is called like it (rtl/multipliers.toml
    for rtl/multipliers), else every multiplier of its .v files. `left_out` gets a line for each file or module that
    was not taken, with the reason, and for each name or signedness that was chosen for the user. Raises DesignError
    for what is neither, for an empty result, for two designs of one name and for files out of reach (`listed`).
    """
    told: list[str] = [] if left_out is None else left_out
    designs: list[Design] = []
    for path in paths:
        if path.is_dir():
            lists = folder_lists(path, told)
            designs += [design for one in lists for design in read_list(one, by_name=False)]
            designs += [] if lists else _from_folder(path, told)
        elif path.suffix == ".toml":
            designs += read_list(path)
        else:
            designs += from_verilog(path, told)
    seen: set[str] = set()
    for design in designs:
        if design.name in seen:
            raise DesignError("one design a name", f"'{design.name}' stands twice", "rename one of them")
        seen.add(design.name)
    return designs


def from_verilog(path: Path, left_out: list[str] | None = None) -> list[Design]:
    """The multipliers of one file: named after the file if there is one, else after their modules.

    Raises DesignError where there is none.
    """
    return _found([path], [], str(path), [] if left_out is None else left_out)


def _from_folder(folder: Path, left_out: list[str]) -> list[Design]:
    verilog, headers, others = folder_files(folder)
    left_out += others
    if not verilog:
        came = f"it holds no .toml list and no .v file{''.join(f'; {line}' for line in others[:3])}"
        raise DesignError(f"designs in {folder}", came, "give another folder")
    return _found(verilog, headers, str(folder), left_out)


def _found(files: list[Path], headers: list[Path], where: str, left_out: list[str]) -> list[Design]:
    found, lines = find_multipliers(files, headers)
    left_out += lines
    if not found:
        came = "".join(f"\n    {line}" for line in lines[:20]) or " it holds no module that nothing else instantiates"
        mend = "give a module with two inputs and one output, or a .toml list that names `top` and `ports`"
        raise DesignError(f"a multiplier in {where}", f"none was found:{came}", mend)
    return [Design(one.name, "user", one.files, one.top, {}, one.ports, one.signed) for one in found]


def read_list(path: Path, by_name: bool = True) -> list[Design]:
    """All designs of a TOML list, points expanded. Raises DesignError that names the file and the key.

    `by_name`: the user named the list itself, so that it may name Verilog files outside of its folder (`listed`).
    """
    try:
        with path.open("rb") as file:
            content = tomllib.loads(file.read(LARGEST_LIST).decode())
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no TOML, a zero byte in the name
        mend = "see rtl/multipliers.toml for the form"
        raise DesignError(f"a readable list of designs in {path}", str(error), mend) from None
    entries = content.get("design")
    if not _tables(entries) or set(content) != {"design"}:
        came, mend = f"it has the tables {sorted(content)}", "see rtl/multipliers.toml for the form"
        raise DesignError(f"[[design]] entries (and nothing else) in {path}", came, mend)
    return [design for entry in entries for design in _expand(entry, path, by_name)]


def _tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(item, dict) for item in value)


def _expand(entry: dict[str, Any], path: Path, by_name: bool) -> list[Design]:
    where = f"{path}, design '{entry.get('name', '?')}'"
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        wanted = f"keys out of {', '.join(sorted(_KEYS))} in {where}"
        raise DesignError(wanted, f"'{unknown[0]}' stands there", "correct the key")
    for key in ("name", "files"):
        if key not in entry:
            raise DesignError(f"'{key}' in {where}", "it is missing", f"add {key} = ...")
    signed, common = entry.get("signed"), entry.get("parameters", {})
    points = entry.get("points", [{}])
    if not _tables(points) or not isinstance(common, dict):
        came = f"parameters = {common!r}, points = {points!r}"
        wanted = f"`parameters` as a table and `points` as a list of tables in {where}"
        raise DesignError(wanted, came, "see rtl/multipliers.toml for the form")
    if not isinstance(signed, bool | None):
        raise DesignError(f"signed = true or false in {where}", f"{signed!r} came", "correct `signed`")
    files = listed_files(entry["files"], path, where, by_name)
    found = completed(files, entry.get("top"), _named(entry, where), signed, where)
    return [_design(entry, {**common, **point}, found, where) for point in points]


def _design(entry: dict[str, Any], parameters: dict[str, Any], found: Completed, where: str) -> Design:
    for key, value in parameters.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (plain_name(key) and whole and 0 <= value < 2**31):  # Yosys' chparam knows no sign
            wanted = f"Verilog parameters that are integers from 0 to 2^31 - 1 in {where}"
            raise DesignError(wanted, f"{key} = {value!r} came", "use such integers, or a wrapper module")
    try:
        if _LONG_FIELD.search(str(entry["name"])):
            raise ValueError("a field of more than 99 characters")
        name = str(entry["name"]).format(**parameters)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        came = f"the name template {entry['name']!r} asks for {error}"
        wanted = f"a name made of the parameters in {where}"
        raise DesignError(wanted, came, "name one of the parameters") from None
    if not NAME.fullmatch(name):
        wanted = f"a name of letters, digits, '_', '.' and '-' in {where}"
        raise DesignError(wanted, f"{name!r} came", "rename it")
    family = str(entry.get("family", "user"))
    if not family.isprintable():
        raise DesignError(f"a family of printable characters in {where}", f"{family!r} came", "correct `family`")
    return Design(name, family, found.files, found.top, dict(parameters), dict(found.ports), found.signed)


def _named(entry: dict[str, Any], where: str) -> dict[str, str]:
    """Port names by role, as far as the entry gives them. Raises DesignError for roles or names that cannot be."""
    named = entry.get("ports", {})
    if not isinstance(named, dict) or not set(named) <= set(PORT_ROLES):
        wanted = f"ports out of {', '.join(PORT_ROLES)} in {where}"
        raise DesignError(wanted, f"{named!r} came", "correct `ports`")
    for identifier in (*([entry["top"]] if "top" in entry else []), *named.values()):
        if not isinstance(identifier, str) or not plain_name(identifier):
            wanted = f"plain Verilog names in {where}"
            raise DesignError(wanted, f"{identifier!r} came", "rename it in a wrapper module")
    if len(set(named.values())) < len(named):
        came = f"{named} came"
        raise DesignError(f"three different ports in {where}", came, "name one port for each role")
    return named
