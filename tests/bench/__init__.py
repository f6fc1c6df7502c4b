"""What wabus does beside others, and what trouble costs, measured on servers of its own.

`python -m tests.bench` compares: `comparison` plays rows (kinds of work) by columns (who does it) in turn,
`report` tells it to people, `plots` draws it. `rivals/` is the same work on other frameworks, `alone/` each
server by itself, `traffic` what offers messages. The other files are programs of their own that measure what
one customer's or one number's trouble costs everybody else. Nothing here belongs to the workers' image, and
what only `rivals/` and `plots` import stands in `requirements-bench.lock`.
"""
