"""What is known of each pair of layer and multiplier: operands, best mapping, energy, error, loss."""
