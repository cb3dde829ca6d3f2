"""The monitoring system: stages, the pure core they call, and the edge to the world."""

from schemas.moved import redirect_moved_modules

redirect_moved_modules()
