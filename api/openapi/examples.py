"""An example of everything that is sent and answered: one deploy of a small shop, told through the API's models.

Each is an instance of its model, so that an example that no longer fits isn't imported, let alone shown.
"""

from api.contract.base import Json, Model
from api.openapi.agent_examples import AGENT_ANSWERS, AGENT_REQUESTS
from api.openapi.operation_examples import OPERATION_ANSWERS, OPERATION_REQUESTS
from api.openapi.shop_examples import SHOP_ANSWERS, SHOP_REQUESTS
from api.openapi.terraform_examples import TERRAFORM_ANSWERS

REQUESTS: list[Model] = [*SHOP_REQUESTS, *AGENT_REQUESTS, *OPERATION_REQUESTS]
ANSWERS: list[Model] = [*SHOP_ANSWERS, *AGENT_ANSWERS, *OPERATION_ANSWERS, *TERRAFORM_ANSWERS]


def examples() -> dict[str, Json]:
    """Every example by its model's name. A request has only what a caller would say; an answer has every field."""
    said = {type(one).__name__: one.model_dump(mode="json", exclude_unset=True) for one in REQUESTS}
    for name in ("ComponentCreate", "ComponentUpdate", "Finish"):  # `kind` chooses among models, so it is said
        said[name] = next(one for one in REQUESTS if type(one).__name__ == name).model_dump(mode="json", exclude_none=True)
    return said | {type(one).__name__: one.model_dump(mode="json") for one in ANSWERS}


def schemas_of_examples(schemas: list[str]) -> dict[str, Json]:
    """The example of each schema of the document that has one; a page has one item."""
    known = examples()
    pages = {f"Page_{name}_": {"items": [example], "after": None} for name, example in known.items()}
    return {name: example for name, example in (known | pages).items() if name in schemas}
