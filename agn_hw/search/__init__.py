"""Which multiplier for which layer: operands, mapping, measured loss, compensation, assignment."""
