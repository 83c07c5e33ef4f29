"""What is being signed: one module a family, each decode, digest, address."""
