"""One processing element of a systolic array: multiplier, accumulating adder and registers, as gates."""
