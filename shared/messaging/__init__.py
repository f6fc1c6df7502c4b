"""The nouns of messaging, a folder each: messages, conversations, customers, campaigns, numbers.

A noun has its rules (pure), its store with its SQL, its use cases (for a command or an API alike), and its
`upkeep` (how long its rows stay, which are a person's, what is counted). Programs decide when; they own no
rules.
"""
