"""Shops: what a merchant chose for each of them."""
