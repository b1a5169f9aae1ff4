"""What only the history's routes give. Apart from them, so that the command line doesn't load a web framework for it."""

from api.contract.base import Model


class Verification(Model):
    """Whether the chain is whole; if not, the first line that doesn't follow from the one before it."""

    whole: bool
    broken_at: int | None
