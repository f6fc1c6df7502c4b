"""What PostgreSQL keeps until it has gone: events in the outbox, deferred messages, rows set aside.

Owns `outbox_events`, `deferred_messages` and `rows_set_aside`. Why a message is deferred, and what ends
that, is said by who defers it.
"""
