"""Signing engines, key derivation, mnemonics and the backup envelope."""
