"""The fuzzer: sequences of commands made from the declaration, steered by the card's state, judged by oracles."""
