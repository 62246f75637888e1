"""The settings file: models of every key, and `load`, whose every message names file, line and key."""

from .faults import SettingsError
from .limits import LimitSettings, LimitStore
from .load import load, loads
from .models import CallerSettings, Settings
from .routes import RouteSettings
from .schema import schema
from .vendors import Credential, Timeouts, VendorSettings

__all__ = [
    "CallerSettings",
    "Credential",
    "LimitSettings",
    "LimitStore",
    "RouteSettings",
    "Settings",
    "SettingsError",
    "Timeouts",
    "VendorSettings",
    "load",
    "loads",
    "schema",
]
