"""The work of three of wabus' workers, written on other frameworks as their own documentation writes it.

`jobs` holds what all of them do to one message: check it, lock its customer, write PostgreSQL, and say what
is to be published; `blocking_jobs` the same for those that know no asyncio. An app (`faststream_app`,
`celery_app`, `dramatiq_app`) brings the framework's best settings, publishes with a confirm and acknowledges
afterwards. They do less than wabus: no retries, no dead letters, no memory of what was published. Nothing but
`tests.bench` starts them; their packages are those of `requirements-bench.lock`.
"""
