"""From Verilog to a catalog of multipliers: synthesis, exhaustive evaluation, cost and error figures.

Knows circuits and integers only; no torch. Start reading at `characterize.py`.
"""

EVALUATOR_VERSION = 2
"""Raised whenever a figure of the catalog would change for the same netlist; part of every identity."""
