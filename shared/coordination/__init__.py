"""Redis: locks, rates and the names of keys. It may be away: the database still guards what counts.

The cache of conversations is `shared.messaging.conversations.cache`: what is stored is its noun's.
"""
