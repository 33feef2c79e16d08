"""Users' Verilog: read within limits, preprocessed, refused where unsafe; multipliers and their ports found in it."""
