"""Orders: what a shop says of them, folded into a row each, and what a customer's profile counts of them."""
