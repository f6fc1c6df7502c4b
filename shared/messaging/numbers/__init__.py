"""Business numbers: whether one may send now. Pauses, holds, and the breaker before the Cloud API.

Owns `business_numbers` and `circuit_breakers`. `holds` also stops and frees campaigns and recipients where
the platform's verdict is about them: one transaction, whatever it is that must stop.
"""
