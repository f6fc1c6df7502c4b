"""From deliveries to messages that may go on: decoded, repetitions folded, addressed, tracked, with a hand.

Owns the rows of new messages and their bodies, who was left behind a locked customer, and how many hands a
number and a customer may have. Whether a message may be sent is `claiming`'s to say.
"""
