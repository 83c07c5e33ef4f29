"""JSON-RPC 2.0 on the card: what ethers, viem, web3.py and js-conflux-sdk ask of a remote signer. docs/web-api.md."""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Final

from bsim import __version__
from bsim.links.web.hosted import Hosted
from bsim.links.web.message import Refusal, Response, as_json
from bsim.links.web.operation import Call, Operation, parse
from bsim.links.web.rpc_errors import INTERNAL, INVALID_PARAMS, INVALID_REQUEST, NO_METHOD, UNSUPPORTED, RpcError
from bsim.links.web.signer import CORE, ETHER, Signer
from bsim.links.web.threads import in_thread

_log: Final = logging.getLogger(__name__)
_MOST_IN_BATCH: Final = 100
_CHAIN_MOST: Final = 1 << 53

Params = Sequence[object]
Method = Callable[[Signer, Params], object]


def _addresses(coin_type: int) -> Method:
    return lambda signer, _: signer.addresses(coin_type)


def _chain(coin_type: int) -> Method:
    return lambda signer, _: hex(signer.chains[coin_type])


def _transaction(coin_type: int) -> Method:
    return lambda signer, params: signer.sign_transaction(coin_type, _object(params, 0))


def _message(coin_type: int, address: int) -> Method:
    """Some methods have the address first, some last."""
    return lambda signer, params: signer.sign_message(coin_type, _at(params, address), _at(params, 1 - address))


def _typed_data(coin_type: int) -> Method:
    return lambda signer, params: signer.sign_typed_data(coin_type, _at(params, 0), _object(params, 1))


def _personal(signer: Signer, params: Params) -> object:
    """Both worlds' wallets have this method: the address tells them apart."""
    address = _at(params, 1)
    core = isinstance(address, str) and ":" in address
    return signer.sign_message(CORE if core else ETHER, address, _at(params, 0))


def _switch(coin_type: int) -> Method:
    """EIP-3326: what names no chain is for this one from now on, and Core Space's addresses are written for it."""

    def switch(signer: Signer, params: Params) -> object:
        try:
            number = int(str(_object(params, 0).get("chainId")), 0)
        except ValueError:
            raise RpcError(INVALID_PARAMS, "chainId is a number in hex") from None
        if not 0 < number < _CHAIN_MOST:
            raise RpcError(INVALID_PARAMS, "chainId is 1 or more")
        signer.chains[coin_type] = number
        return None

    return switch


def _status(signer: Signer, _: Params) -> object:
    chain = hex(signer.chains[CORE])
    return {"chainId": chain, "networkId": chain, "ethereumSpaceChainId": hex(signer.chains[ETHER])}


def _not_here(_signer: Signer, _: Params) -> object:
    raise RpcError(UNSUPPORTED, "a card signs and does not send: sign, then send the raw transaction by a node")


_METHODS: Final[Mapping[str, Method]] = {
    "web3_clientVersion": lambda _signer, _: f"bsim/{__version__}",
    "net_version": lambda signer, _: str(signer.chains[ETHER]),
    "eth_accounts": _addresses(ETHER),
    "eth_requestAccounts": _addresses(ETHER),
    "eth_chainId": _chain(ETHER),
    "eth_sign": _message(ETHER, 0),
    "personal_sign": _personal,
    "eth_signTypedData": _typed_data(ETHER),
    "eth_signTypedData_v4": _typed_data(ETHER),
    "eth_signTransaction": _transaction(ETHER),
    "eth_sendTransaction": _not_here,
    "wallet_switchEthereumChain": _switch(ETHER),
    "cfx_accounts": _addresses(CORE),
    "cfx_requestAccounts": _addresses(CORE),
    "cfx_chainId": _chain(CORE),
    "cfx_netVersion": lambda signer, _: str(signer.chains[CORE]),
    "cfx_getStatus": _status,
    "cfx_sign": _message(CORE, 0),
    "cfx_signTypedData_v4": _typed_data(CORE),
    "cfx_signTransaction": _transaction(CORE),
    "cfx_sendTransaction": _not_here,
    "wallet_switchConfluxChain": _switch(CORE),
}


class Signers:
    """The signers of one server's cards."""

    def __init__(self, patience: float) -> None:
        self._patience: Final = patience
        self._signers: dict[str, Signer] = {}

    def of(self, card: Hosted) -> Signer:
        """The signer of a card."""
        if card.number not in self._signers:
            self._signers[card.number] = Signer(card, self._patience)
        return self._signers[card.number]

    def drop(self, card: Hosted) -> None:
        """Forget a card: it goes."""
        self._signers.pop(card.number, None)


async def _card_rpc(call: Call) -> Response:
    return await _answer(call, call.card)


async def _first_rpc(call: Call) -> Response:
    return await _answer(call, call.site.rack.first())


async def _answer(call: Call, card: Hosted) -> Response:
    """One call, or a batch of them; what has no id is not answered. JSON-RPC 2.0, 4.1 and 6."""
    body, signer = call.body, call.site.signers.of(card)
    # web3.py reads geth's form of eth_signTransaction; ethers and viem take the raw transaction alone.
    geth = call.request.headers.get("user-agent", "").lower().startswith("web3.py")
    batch = isinstance(body, list)
    asked = body if batch else [body]
    site, gone = call.site, Event()

    def answers() -> list[dict[str, object] | None]:
        return [_one(signer, one, geth) for one in asked if not gone.is_set()]

    site.signers_busy(1)
    try:
        found = await in_thread(site.rack.pool, answers, lambda: site.signers_busy(-1))
    finally:
        gone.set()  # the rest of a batch is signed for nobody
    told = [answer for answer in found if answer is not None]
    if not told:
        return Response(204)
    return as_json(told if batch else told[0])


def _one(signer: Signer, asked: object, geth: bool) -> dict[str, object] | None:
    if not isinstance(asked, dict) or not isinstance(asked.get("method"), str):
        return _told(None, error=RpcError(INVALID_REQUEST, "a call is an object with method and params").value())
    number, method = asked.get("id"), _METHODS.get(asked["method"])
    try:
        params = asked.get("params", [])
        if method is None:
            raise RpcError(NO_METHOD, "there is no such method; docs/web-api.md lists those there are")
        if not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "params is an array")
        answer = _told(number, result=method(signer, params))
    except RpcError as error:
        answer = _told(number, error=error.value())
    except Exception as bug:  # noqa: BLE001 - a bug of ours is an internal error to the app
        withheld = Exception("message withheld").with_traceback(bug.__traceback__)
        _log.error("unhandled %s", type(bug).__name__, exc_info=withheld)
        answer = _told(number, error=RpcError(INTERNAL, "a bug in the server").value())
    if geth and asked["method"].endswith("_signTransaction") and "result" in answer:
        answer["result"] = {"raw": answer["result"], "tx": {}}
    return answer if "id" in asked else None


def _told(number: object, **outcome: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number if isinstance(number, int | str) else None, **outcome}


def _at(params: Params, number: int) -> object:
    if len(params) <= number:
        raise RpcError(INVALID_PARAMS, f"params has {number + 1} items or more")
    return params[number]


def _object(params: Params, number: int) -> Mapping[str, object]:
    """An object, or the JSON text of one: wallets take both."""
    value = _at(params, number)
    if isinstance(value, str):
        try:
            value = parse(value.encode("utf-8", "replace"))
        except Refusal:
            value = None
    if not isinstance(value, dict):
        raise RpcError(INVALID_PARAMS, f"item {number + 1} of params is an object")
    return value


_BODY: Final = {
    "type": ["object", "array"],
    "minItems": 1,
    "maxItems": _MOST_IN_BATCH,
    "description": f"JSON-RPC 2.0: {', '.join(_METHODS)}; or a batch",
}

OPERATIONS: Final = tuple(
    Operation("POST", path, name, summary, run, _BODY, body=_BODY, refusals=(404, 409))
    for path, name, summary, run in (
        ("/v1/cards/{card}/rpc", "cardRpc", "The card as a remote signer", _card_rpc),
        ("/rpc", "rpc", "The first card as a remote signer", _first_rpc),
        ("/", "rootRpc", "The same at the root, for libraries that take a bare address", _first_rpc),
    )
)
