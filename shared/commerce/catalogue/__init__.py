"""The catalogue: what a shop says of its products and of how many there are."""
