"""Approximate multipliers in neural networks: co-design from Verilog to accuracy."""
