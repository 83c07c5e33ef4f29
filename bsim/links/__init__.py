"""How the outside reaches a card."""
