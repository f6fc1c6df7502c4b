"""The fault rig: real processes under load, faults from a seed, and a judge who was not there."""
