"""Explicit ALS with biases, and implicit's beside it, so that anyone can see the difference."""
