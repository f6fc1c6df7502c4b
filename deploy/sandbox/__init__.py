"""A simulated WhatsApp Cloud API: a real HTTP server with the send call, its checks, statuses and faults.

Owns what the platform does between a send request and the last status of the message. It knows nothing of our
workers and shares no code with them, so that it judges what they send as the platform would. What it
accepted (the newest million messages), and who changed number or id, lives in memory only, until its end or
`POST /_sandbox/reset`.
"""

from deploy.sandbox.server import Sandbox
from deploy.sandbox.settings import Fault, SandboxSettings, StatusDelays

__all__ = ["Fault", "Sandbox", "SandboxSettings", "StatusDelays"]
