"""What sending came to, in the database: attempts closed, messages sent or failed, and what follows from it.

Owns that an answer in hand is never lost while the store is away. How a message's status moves is
`shared.messaging.messages`, how numbers and campaigns are held `shared.messaging.numbers`.
"""
