"""Energy per multiplication of a mapped netlist, under any operands and data order. Start at `operand_energy.py`."""
