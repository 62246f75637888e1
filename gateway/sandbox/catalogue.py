"""
What the simulators know by heart: a documented error, and a request worth copying.

The tables themselves stand in `<vendor>_errors.py`, in the order and the words of the vendor's page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["http", "status", "job", "state"]
"""
`http`: an error reply that carries the code. `status`: an error reply without a string code, named after its status.
`job`: the code inside a successful job payload. `state`: a job that fails by its state alone, without a code.
"""


@dataclass(frozen=True, slots=True)
class DocumentedError:
    """
    One error of a vendor's documents, as `Sandbox-Error: <code>` and `Sandbox-Shape: <shape>` bring it.

    `code` is spelled as the vendor spells it; `status` is the HTTP status the sandbox answers (200 for jobs).
    """

    code: str
    status: int
    shape: str
    kind: Kind
    message: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """The request headers that bring exactly this error."""
        return {"Sandbox-Error": self.code, "Sandbox-Shape": self.shape}


@dataclass(frozen=True, slots=True)
class Example:
    """One request to copy: `path` begins below the vendor's base path, `error` is its `Sandbox-Error`."""

    method: str
    path: str
    error: str
    body: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """Everything to send but the credential."""
        content = {} if self.body is None else {"Content-Type": "application/json"}
        return {**content, "Sandbox-Error": self.error}
