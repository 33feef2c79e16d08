"""Design: what is to be synthesised - sources, top, parameters, operand ports, signedness.

Lists of designs are TOML files (`rtl/multipliers.toml` explains each key); a bare Verilog file is one design.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

from lut_gen.errors import DesignError
from lut_gen.verilog import modules, read_source

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_KEYS = {"name", "family", "files", "top", "ports", "signed", "parameters", "points"}
PORT_ROLES = {"activation": "a", "weight": "b", "product": "y"}
"""What each port is for, and its usual name."""


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

    def source_sha256(self) -> str:
        """Hash of the sources' bytes, in order. Raises DesignError for an unreadable file."""
        digest = hashlib.sha256()
        for path in self.files:
            data = read_source(path)
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    def description(self) -> str:
        """Canonical text of everything but the sources (identity of a result)."""
        ports = {role: self.ports[role] for role in PORT_ROLES}
        parts = [self.name, self.family, self.top, dict(sorted(self.parameters.items())), ports, self.signed]
        return json.dumps(parts)


def gather(paths: list[Path]) -> list[Design]:
    """Designs of TOML lists, Verilog files and folders, in this order.

    Of a folder every .toml inside is taken, else the list that is called like it (rtl/multipliers.toml for
    rtl/multipliers), else every .v.
    Raises DesignError for what is neither, for an empty result and for two designs of one name.
    """
    designs: list[Design] = []
    for path in paths:
        if path.is_dir():
            beside = path.resolve().with_suffix(".toml")
            inside = sorted(path.glob("*.toml")) or [beside] * beside.is_file() or sorted(path.glob("*.v"))
            if not inside:
                came = "it holds no .toml list and no .v file"
                raise DesignError(f"designs in {path}", came, "give another folder")
            designs += gather(inside)
        elif path.suffix == ".toml":
            designs += read_list(path)
        else:
            designs.append(from_verilog(path))
    seen: set[str] = set()
    for design in designs:
        if design.name in seen:
            raise DesignError("one design a name", f"'{design.name}' stands twice", "rename one of them")
        seen.add(design.name)
    return designs


def read_list(path: Path) -> list[Design]:
    """All designs of a TOML list, points expanded. Raises DesignError that names the file and the key."""
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        mend = "see rtl/multipliers.toml for the form"
        raise DesignError(f"a readable list of designs in {path}", str(error), mend) from None
    entries = content.get("design")
    if not _tables(entries) or set(content) != {"design"}:
        came, mend = f"it has the tables {sorted(content)}", "see rtl/multipliers.toml for the form"
        raise DesignError(f"[[design]] entries (and nothing else) in {path}", came, mend)
    return [design for entry in entries for design in _expand(entry, path)]


def _tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(item, dict) for item in value)


def _expand(entry: dict[str, Any], path: Path) -> list[Design]:
    where = f"{path}, design '{entry.get('name', '?')}'"
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        wanted = f"keys out of {', '.join(sorted(_KEYS))} in {where}"
        raise DesignError(wanted, f"'{unknown[0]}' stands there", "correct the key")
    for key in ("name", "files", "top"):
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
    return [_design(entry, {**common, **point}, path, where) for point in points]


def _design(entry: dict[str, Any], parameters: dict[str, Any], path: Path, where: str) -> Design:
    for key, value in parameters.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (_IDENTIFIER.fullmatch(key) and whole and 0 <= value < 2**31):  # Yosys' chparam knows no sign
            wanted = f"Verilog parameters that are integers from 0 to 2^31 - 1 in {where}"
            raise DesignError(wanted, f"{key} = {value!r} came", "use such integers, or a wrapper module")
    try:
        name = str(entry["name"]).format(**parameters)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        came = f"the name template {entry['name']!r} asks for {error}"
        wanted = f"a name made of the parameters in {where}"
        raise DesignError(wanted, came, "name one of the parameters") from None
    if not _NAME.fullmatch(name):
        wanted = f"a name of letters, digits, '_', '.' and '-' in {where}"
        raise DesignError(wanted, f"{name!r} came", "rename it")
    files = entry["files"]
    if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
        came = f"files = {files!r}"
        raise DesignError(f"a list of file names in {where}", came, 'write files = ["mine.v"]')
    return Design(
        name=name,
        family=str(entry.get("family", "user")),
        files=tuple((path.parent / file).resolve() for file in files),
        top=entry["top"],
        parameters=dict(parameters),
        ports=_ports(entry, where),
        signed=entry.get("signed"),
    )


def _ports(entry: dict[str, Any], where: str) -> dict[str, str]:
    """Port name by role. Raises DesignError for roles or Verilog names that cannot be."""
    named = entry.get("ports", {})
    if not isinstance(named, dict) or not set(named) <= set(PORT_ROLES):
        wanted = f"ports out of {', '.join(PORT_ROLES)} in {where}"
        raise DesignError(wanted, f"{named!r} came", "correct `ports`")
    ports = {**PORT_ROLES, **named}
    for identifier in (entry["top"], *ports.values()):
        if not isinstance(identifier, str) or not _IDENTIFIER.fullmatch(identifier):
            wanted = f"plain Verilog names in {where}"
            raise DesignError(wanted, f"{identifier!r} came", "rename it in a wrapper module")
    if len(set(ports.values())) < len(ports):
        came = f"{ports} came"
        raise DesignError(f"three different ports in {where}", came, "name one port for each role")
    return ports


def from_verilog(path: Path) -> Design:
    """A design of one file: the only module that no other instantiates, ports a, b, y. Raises DesignError."""
    read_source(path)
    found = modules([path])
    instantiated = {child for module in found.values() for child in module.instances}
    tops = [name for name in found if name not in instantiated]
    if len(tops) != 1:
        came = f"these could be: {', '.join(tops) or 'none'}"
        raise DesignError(f"one top module in {path}", came, "name it with `top` in a .toml list of designs")
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", path.stem).lstrip("_.-")[:100] or "design"
    return Design(name=name, family="user", files=(path.resolve(),), top=tops[0])
