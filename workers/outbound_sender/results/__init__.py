"""What sending came to, in the database: attempts closed, messages sent or failed, and what follows from it.

And what is told of messages that are not sent now (`telling`). How a message's status moves is
`shared.messaging.messages`, how numbers and campaigns are held `shared.messaging.numbers`.
"""
