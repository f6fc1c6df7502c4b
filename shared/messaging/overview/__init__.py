"""Everything at one glance: queues, workers, numbers, campaigns, dead letters.

Owns asking each server alone, again and again, and what follows from two looks. What is read is each noun's;
no table is written. `wabus top` shows it; so may any other face.
"""
