"""The built-in technology and the script that made it."""
