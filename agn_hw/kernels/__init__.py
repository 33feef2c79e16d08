"""Matrix products with a table in place of the multiplication. `op.py` holds the torch operators."""
