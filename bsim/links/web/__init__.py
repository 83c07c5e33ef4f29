"""Cards over HTTP and WebSocket, JSON-RPC, and the console: `WebServer` is all a program needs. docs/web-api.md."""

from bsim.links.web.limits import Limits
from bsim.links.web.server import WebServer

__all__ = ["Limits", "WebServer"]
