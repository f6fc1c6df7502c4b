"""What more than one program uses, in two kinds of rooms.

*How*: `amqp`, `postgres`, `coordination` (Redis), `durable`, `deadletters`, `consuming`, `running`,
`observability`, `payloads`, `settings`; they know nothing of customers, messages or campaigns. *What*:
`messaging`, the nouns. Nothing here imports a program, and nothing prints.
"""
