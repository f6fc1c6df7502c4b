"""The database's schema: its migrations and what carries them out. Imports nothing of ours."""
