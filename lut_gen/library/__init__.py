"""Cell libraries: Liberty files read into a Technology, in one set of units."""
