"""Verilog in a simulator: the source RTL against the tables. Knows circuits and integers only; no torch.

Start reading at `regression.py`.
"""
