"""What pyverilog reads in Verilog sources: modules, their parameters, ports and children.

Yosys' JSON stays the truth for widths; this serves to find a top module and to explain a failed elaboration.
pyverilog is only read with: its code generator is known to mistranslate part selects.
"""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lut_gen.errors import DesignError


@dataclass(frozen=True)
class Module:
    """One module of a source: names of its parameters, ports and the modules that it instantiates."""

    name: str
    parameters: tuple[str, ...]
    ports: tuple[str, ...]
    instances: tuple[str, ...]


@cache
def _parser() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyverilog's own modules warn while they are imported
        from pyverilog.vparser.parser import VerilogParser

        with tempfile.TemporaryDirectory() as folder:
            return VerilogParser(outputdir=folder, debug=False)


def read_source(path: Path) -> bytes:
    """Bytes of a Verilog source. Raises DesignError where it cannot be read."""
    if path.suffix in (".vhd", ".vhdl"):
        mend = "translate it, for example with GHDL's `synth --out=verilog`"
        raise DesignError("Verilog sources", f"{path} is VHDL", mend)
    try:
        return path.read_bytes()
    except OSError as error:
        mend = "correct the path or `files` in the list"
        raise DesignError(f"a Verilog file at {path}", f"{error.strerror}", mend) from None


def modules(files: list[Path]) -> dict[str, Module]:
    """Modules of all files by name. Raises DesignError where pyverilog cannot read a file."""
    found: dict[str, Module] = {}
    for path in files:
        text = _without_directives(read_source(path).decode("utf-8", errors="replace"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                tree = _parser().parse(text)
        except Exception as error:  # ply's and pyverilog's own kinds
            came = f"the parser stopped: {error}"
            raise DesignError(f"Verilog-2005 in {path}", came, "correct the source") from None
        for definition in tree.description.definitions:
            if type(definition).__name__ == "ModuleDef":
                found[definition.name] = _module(definition)
    return found


def _without_directives(text: str) -> str:
    """Lines of compiler directives emptied (pyverilog would need a preprocessor); line numbers stay."""
    return "\n".join("" if line.lstrip().startswith("`") else line for line in text.splitlines())


def _module(definition: Any) -> Module:
    ports = [getattr(port, "first", port).name for port in definition.portlist.ports]
    nodes = list(_walk(definition))
    parameters = [node.name for node in nodes if type(node).__name__ == "Parameter"]
    instances = [node.module for node in nodes if type(node).__name__ == "Instance"]
    return Module(definition.name, *(tuple(dict.fromkeys(names)) for names in (parameters, ports, instances)))


def _walk(node: Any) -> Any:
    yield node
    for child in node.children():
        yield from _walk(child)
