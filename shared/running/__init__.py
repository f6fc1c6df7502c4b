"""A worker's process: its start, its composition, its clock, its metrics and health, its end."""
