"""web3.py with the card as remote signer: run by the soak in an environment of its own. web3_signer.py URL"""

import sys

from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from web3 import Web3

w3 = Web3(Web3.HTTPProvider(sys.argv[1]))
address = w3.eth.accounts[0]
signature = w3.eth.sign(address, text="hello")
assert Account.recover_message(encode_defunct(text="hello"), signature=signature) == address
transaction = {
    "from": address,
    "to": "0x3535353535353535353535353535353535353535",
    "value": 1,
    "gas": 21_000,
    "nonce": 0,
    "maxFeePerGas": 20_000_000_000,
    "maxPriorityFeePerGas": 1,
    "chainId": w3.eth.chain_id,
}
assert Account.recover_transaction(w3.eth.sign_transaction(transaction)["raw"]) == address
typed = {
    "types": {"EIP712Domain": [{"name": "name", "type": "string"}], "Note": [{"name": "text", "type": "string"}]},
    "primaryType": "Note",
    "domain": {"name": "Test"},
    "message": {"text": "hello"},
}
signature = w3.eth.sign_typed_data(address, typed)
assert Account.recover_message(encode_typed_data(full_message=typed), signature=signature) == address
