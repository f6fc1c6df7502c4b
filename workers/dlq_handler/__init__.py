"""The dlq-handler: keeps what died, and ends the messages in it."""
