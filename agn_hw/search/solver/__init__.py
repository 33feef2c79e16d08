"""One multiplier a layer within a budget of loss and limits of the hardware: exact branch and bound."""
