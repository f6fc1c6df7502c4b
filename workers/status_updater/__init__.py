"""The status-updater: stores what gateways report of sent messages, and carries out what follows from it."""
