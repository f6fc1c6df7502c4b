"""The notifier: decides due automatic messages, and hands those that go to the sender.

What the decision is, and its transaction, are `shared.commerce.notices`'.
"""
