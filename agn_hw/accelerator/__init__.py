"""The plan: which multiplier, mapping and energy each layer of a network has."""
