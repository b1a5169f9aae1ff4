"""Classes of plain fields, like frozen dataclasses.

`dataclasses` writes and compiles code for each class, which would take a seventh of every start of the provider; this looks at
the fields' names and no more.
"""

from typing import Any, ClassVar, NoReturn, dataclass_transform


@dataclass_transform(frozen_default=True)
class Record:
    """What a subclass annotates is a field, in order, after those of its base; a class attribute is its default.

    Records of one class are equal if their fields are, and hash so. A default is shared: it must be immutable.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _needed: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(dict.fromkeys((*cls._fields, *cls.__annotations__)))
        cls.__match_args__ = cls._fields  # type: ignore[attr-defined, misc]  # the type checker takes it for set
        cls._needed = frozenset(name for name in cls._fields if not hasattr(cls, name))

    def __init__(self, *given: Any, **named: Any) -> None:
        """Take the fields by place or by name. Raises TypeError for one too many, twice, unknown or missing."""
        values = dict(zip(self._fields, given, strict=False), **named)
        if len(values) < len(given) + len(named) or not self._needed <= values.keys() <= set(self._fields):
            missing, unknown = sorted(self._needed - values.keys()), sorted(values.keys() - set(self._fields))
            what = f"missing {missing}, unknown {unknown}, {len(given)} by place"
            raise TypeError(f"{type(self).__name__} takes {', '.join(self._fields)}: {what}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} can't be changed")

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(self) is type(other) and isinstance(other, Record) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in zip(self._fields, self._values(), strict=True))
        return f"{type(self).__name__}({fields})"
