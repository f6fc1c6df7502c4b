"""Customers: their addresses, what they agreed to, what is known of one, and how a person is erased.

Owns `customer_profiles`. Which rows of other tables are a person's is said by each noun's `upkeep`.
"""
