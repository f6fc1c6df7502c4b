"""Notices: every automatic message is planned as a row before it is sent, and decided by one policy."""
