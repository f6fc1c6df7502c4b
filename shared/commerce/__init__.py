"""Commerce: what a shop says of carts, orders and products, and the automatic messages that follow from it.

It stands on `shared.messaging`, which knows nothing of it.
"""
