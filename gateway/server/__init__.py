"""
Running the gateway.

`ports`: listening; `protocol`: the guards below ASGI; `serving`: both ports, and the stop; `supervisor` and `control`:
several workers; `notify`: what systemd is told; `running`: a whole process of each kind.
"""

from .control import handed
from .ports import PortTaken, bind
from .running import run, run_demo, run_sandbox, run_supervised, run_worker
from .serving import Stop, serve, serve_app
from .supervisor import Place, Supervisor, own_command, place

__all__ = [
    "Place",
    "PortTaken",
    "Stop",
    "Supervisor",
    "bind",
    "handed",
    "own_command",
    "place",
    "run",
    "run_demo",
    "run_sandbox",
    "run_supervised",
    "run_worker",
    "serve",
    "serve_app",
]
