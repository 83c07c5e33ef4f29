"""The card OS."""

from bsim.card.t0 import T0
from bsim.card.uicc import Uicc

__all__ = ["T0", "Uicc"]
