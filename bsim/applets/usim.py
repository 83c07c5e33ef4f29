"""The binding of what is answered in the file system: files, PINs and authentication (applet_spec/usim.toml)."""

from typing import Final

from bsim.applets.base import Binding
from bsim.applets.file_session import FileSession
from bsim.applets.pins import PIN1
from bsim.spec.files import MF
from bsim.sw import SW

ADF_USIM: Final = MF + b"\x7f\xf0"
ADF_ISIM: Final = MF + b"\x7f\xf2"

usim: Final = Binding[FileSession]("usim")


@usim.condition("application")
def application(ctx: FileSession) -> bool:
    """Authentication is the application's: its directory, or one below it, is the current one. 3GPP TS 31.102 7.1.1."""
    return ctx.within(ADF_USIM) or ctx.within(ADF_ISIM)


@usim.right("pin1")
def pin1(ctx: FileSession) -> SW | None:
    """PIN1 was verified, or is not asked for."""
    return None if ctx.pins.holds(PIN1) else SW.SECURITY_STATUS_NOT_SATISFIED
