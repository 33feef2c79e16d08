"""A user's model -> integers -> tables: `quantize.quantize`, `approximate.approximate`."""
