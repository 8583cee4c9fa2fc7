"""Completion of score tables: explicit ALS with biases, the rivals it must beat, and the stack of them."""
