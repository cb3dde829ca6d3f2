"""What a process says of itself: one line a record, never a secret, never a flood.

Text on a terminal and JSON elsewhere, unless ``DRIFTLINE_LOG=text`` or ``json`` says which.
Everything goes to standard error; records of libraries are handled alike.
"""

from monitor.logs.rate_limit import RateLimitedHandler
from monitor.logs.redaction import secrets_of
from monitor.logs.setup import configure_logs

__all__ = ["RateLimitedHandler", "configure_logs", "secrets_of"]
