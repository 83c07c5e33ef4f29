"""A secure channel to the wallet applet, under the issuer domain's keys."""

from typing import Final

from bsim.applets import channels
from bsim.applets.wallet import wallet
from bsim.applets.wallet_session import WalletSession


@wallet.handles("WALLET_INITIALIZE_UPDATE")
def initialize_update(ctx: WalletSession, key_version: int, key_identifier: int, host_challenge: bytes) -> bytes:  # noqa: ARG001 - a key set has one identifier
    """Answer the host's challenge, and wait for its answer to ours."""
    return channels.begin(ctx, ctx.domain, key_version, host_challenge)


@wallet.handles("WALLET_EXTERNAL_AUTHENTICATE")
def external_authenticate(ctx: WalletSession, level: int, authentication: bytes) -> bytes:
    """The channel is open once the host has answered the challenge; one attempt for each."""
    return channels.open_channel(ctx, ctx.domain, level, authentication)


COMMANDS: Final = wallet.compile("wallet_channel")
TERMINATED: Final = wallet.refused_in("terminated", "wallet_channel")
