"""The commands of `wabus`, one module each."""
