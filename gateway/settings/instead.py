"""What the command line says instead of the settings file: validated and checked as if the file had said it."""

from dataclasses import dataclass

from pydantic import ValidationError

from .checks import check
from .faults import SettingsError, dotted
from .models import Settings
from .server import Server


@dataclass(frozen=True, slots=True)
class Instead:
    """What the command line says instead of the settings file; None: nothing."""

    host: str | None
    port: int | None
    admin_port: int | None
    workers: int | None

    def of(self, settings: Settings) -> Settings:
        """The settings as if the file had said it; raises `SettingsError` where the same checks then refuse them."""
        said = {"host": self.host, "port": self.port, "workers": self.workers}
        said = {key: value for key, value in said.items() if value is not None}
        admin = {} if self.admin_port is None else {"port": self.admin_port}
        if not said and not admin:
            return settings
        try:
            valid = Server.model_validate({**said, "admin": admin})
        except ValidationError as wrong:
            raise SettingsError(
                f"errgate serve: --{e['loc'][0]}: {e['ctx']['error']}" for e in wrong.errors()
            ) from None
        server = settings.server.model_copy(
            update={
                **{key: getattr(valid, key) for key in said},
                "admin": settings.server.admin.model_copy(update=admin),
            }
        )
        changed = settings.model_copy(update={"server": server})
        if faults := list(check(changed)):
            raise SettingsError(f"errgate serve: {dotted(fault.path)}: {fault.text}" for fault in faults)
        return changed
