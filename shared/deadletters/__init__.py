"""Dead letters: stored, looked at, chosen, edited, replayed, dismissed, pruned.

Owns the table `dead_letter_queue`, for the dlq-handler, the command line and the scheduler alike. It does
not know them.
"""
