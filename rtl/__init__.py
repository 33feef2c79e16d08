"""The Verilog of the toolkit: multipliers, and the systolic array of an accelerator around them.

A package, so that an installed `agn-hw` finds its own Verilog and not a folder of the user's that is
called `rtl` too.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent
"""Folder that holds `multipliers/` and `multipliers.toml`."""

MULTIPLIERS = ROOT / "multipliers.toml"
"""The list of every built-in multiplier (see its header for the keys)."""
