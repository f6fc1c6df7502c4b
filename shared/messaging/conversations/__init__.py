"""Conversations: which one of the agent platform a customer of a number is in.

Owns `conversation_mappings`, `conversation_aliases` and their cache in Redis.
"""
