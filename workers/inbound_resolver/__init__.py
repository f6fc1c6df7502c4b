"""The inbound-resolver: whose message it is, which conversation it belongs to, told as `inbound.enriched`.

`resolver` works messages, `correlator` what the agent platform says of its conversations.
"""
