"""Would a test notice? Promised behaviour is broken on purpose, one rule at a time, in a copy of the tree."""
