"""The send call: its body, the request, what the answer means and what is to be done about it.

Owns the connections to the Cloud API and the table from classes of errors to consequences. Knows no database:
what it decides is written by `results`.
"""
