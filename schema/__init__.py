"""What others hold us to: the database's schema and its migrations, and the payloads' schemas.

Imports nothing of ours. `README.md` is the inventory of the tables.
"""
