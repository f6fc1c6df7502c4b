"""The demonstration: the whole cluster as separate processes, a day of traffic in a minute, and a verdict.

Owns the traffic (customers, an agent platform, a campaign, poison, killed workers), the processes of one demo
and the judgement of what became of it all. Does not own the servers (`deploy.stack`), the Cloud API
(`deploy.sandbox`) or anything of the workers, which run as they are shipped.
"""
