"""The commands of `wabus` that start servers or programs on this machine, one module each."""
