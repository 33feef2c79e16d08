"""cocotb test modules: they run inside the simulator's process, started by the modules one level up."""
