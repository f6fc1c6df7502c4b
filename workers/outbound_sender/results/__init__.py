"""What sending came to, in the database: attempts closed, messages sent or failed, and what follows from it.

How a message's status moves is
`shared.messaging.messages`, how numbers and campaigns are held `shared.messaging.numbers`.
"""
