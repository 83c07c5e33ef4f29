"""What goes wrong with stores, in words for the people who use them; never with a secret in them."""


class StoreError(Exception):
    """A store that cannot be opened, read or written; the message says which file and what to do."""


class DamagedError(StoreError):
    """A file that is no card file, or is one no more: cut short, altered, mixed with another, or not whole yet."""


class BusyError(StoreError):
    """A card file that another program holds open."""


class LockedError(StoreError):
    """A sealed card file whose passphrase or key file is missing or wrong."""
