"""Dead letters after they were stored: looked at, chosen, edited, replayed, dismissed, pruned.

Owns the table `dead_letter_queue` but for the insert (`shared.deadletters.storing`), for the command line
and the scheduler alike. It does not know either.
"""
