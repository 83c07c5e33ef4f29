"""A decoder of the declarations that ship with the package, made when there is first something to decode."""

from functools import cached_property
from typing import TYPE_CHECKING

from bsim.spec import spec

if TYPE_CHECKING:
    from bsim.spec.decode import Answer, Decoded, Decoder


class LateDecoder:
    """Does as a Decoder does, in one thread at a time. With it, cards that nobody has asked anything start sooner."""

    @cached_property
    def decoder(self) -> "Decoder":
        """The decoder itself."""
        from bsim.spec.decode import Decoder  # noqa: PLC0415 - as above

        return Decoder(spec())

    def reset(self) -> None:
        """The card was power-cycled."""
        if "decoder" in vars(self):
            self.decoder.reset()

    def command(self, raw: bytes) -> "Decoded":
        """Take a command apart."""
        return self.decoder.command(raw)

    def response(self, decoded: "Decoded", raw: bytes) -> "Answer":
        """Take the response apart."""
        return self.decoder.response(decoded, raw)

    def exchange_json(self, decoded: "Decoded", response: bytes) -> dict[str, object]:
        """Take the response apart: the exchange for machines."""
        from bsim.spec.decode import exchange_json  # noqa: PLC0415 - it has been imported by then

        return exchange_json(decoded, self.response(decoded, response))
