"""What `wabus doctor` looks at: one module for each server, one for the state of the work.

Each gives findings and never raises for a server's sake; showing them is the command's.
"""
