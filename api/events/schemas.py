"""What only the history's routes give. Apart from them, so that the command line doesn't load a web framework for it."""

from pydantic import Field

from api.contract.base import Model


class Verification(Model):
    """Whether the chain is whole; if not, the first line that doesn't follow from the one before it."""

    whole: bool
    broken_at: int | None
    lines: int = Field(description="How many lines follow from each other, from the first one that is there on.")
    pruned: int = Field(default=0, description="How many lines before those were pruned, as a checkpoint in the chain tells.")
    last_hash: str = Field(description="The hash of the last of those: compare it with one that you kept.")
