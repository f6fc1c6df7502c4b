"""May this message be sent now? The decision, and the claim of its attempt, in one transaction.

Owns the attempt's row while it is open, and messages that a campaign takes back. The rate's permit is there
before it is asked (`pacing`); the request is `calling`'s.
"""
