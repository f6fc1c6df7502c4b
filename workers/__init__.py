"""The programs: a folder for each kind of worker, and the command line. `registry` lists them.

A worker's `worker` module composes it; its handler decides, by the rules of the nouns in `shared.messaging`.
Workers do not import each other.
"""
