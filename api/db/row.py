"""What every table's class is."""

from functools import cache
from typing import Any, Self

from sqlmodel import SQLModel
from sqlmodel.main import SQLModelMetaclass


class _Column:
    """What a table's class has for a column: SQLAlchemy's attribute, for queries.

    It has no `__set__`, so a row's own value is found first, in its `__dict__`, without a call.
    """

    __slots__ = ("_attribute",)

    def __init__(self, attribute: Any) -> None:
        self._attribute = attribute

    def __get__(self, row: object, of: type) -> Any:
        if row is not None:
            raise AttributeError("the row has no value for this column")
        return self._attribute


class _RowClass(SQLModelMetaclass):
    """Takes from a table's class what SQLAlchemy's ORM wraps around each access to a row, and around each new one."""

    def __init__(cls, name: str, bases: tuple[type, ...], dict_: dict[str, Any], **kw: Any) -> None:  # noqa: N805 - a class of classes
        super().__init__(name, bases, dict_, **kw)
        if "__table__" in cls.__dict__:
            for column in cls.model_fields:
                type.__setattr__(cls, column, _Column(cls.__dict__[column]))
            type.__delattr__(cls, "__init__")


class Row(SQLModel, metaclass=_RowClass):
    """A row of a table. Its types are a promise of the code that writes it: SQLModel validates nothing in a table's class.

    Reading, making and changing rows is what the IMS does all day. So a row is a plain object: its `__dict__` is what is read
    and written, and neither pydantic nor SQLAlchemy's ORM has a hand in it. A row that a session knows tells it of changes
    (`_note`). Two rows are equal if they are the same object: a session has one for each row of the table.
    """

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __new__(cls, **_values: Any) -> Self:
        """Without pydantic's private state, which only models with validation use."""
        return object.__new__(cls)

    def __init__(self, **values: Any) -> None:
        """A new row; what isn't given has its field's default, or is None. Raises TypeError for an unknown field."""
        defaults, factories = _defaults(type(self))
        if not values.keys() <= defaults.keys():
            raise TypeError(f"{type(self).__name__} has no {sorted(values.keys() - defaults.keys())}")
        self.__dict__.update(defaults)
        for name, make in factories.items():
            if name not in values:
                self.__dict__[name] = make()
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        """Change a value."""
        values = self.__dict__
        if "_note" in values:
            values["_note"](self, name, values[name])
        values[name] = value


@cache
def _defaults(row: type[Row]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a table with their defaults, and what makes those that must not be shared."""
    fields = row.model_fields
    plain = {name: None if field.is_required() else field.get_default() for name, field in fields.items()}
    return plain, {name: field.default_factory for name, field in fields.items() if field.default_factory}
