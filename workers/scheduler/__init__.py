"""The scheduler: what is done when its time has come, by the one replica that holds the lease.

A job a module; `worker` lists them with how often each runs. Every job may run twice at once without harm.
"""
