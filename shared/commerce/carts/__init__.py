"""Carts: what a shop says of them, and what becomes of one that is left alone."""
