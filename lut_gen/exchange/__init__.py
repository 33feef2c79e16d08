"""Tables and catalogs from and for others: export, import, merge."""
