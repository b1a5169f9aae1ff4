"""Numbers of Terraform's type system, which are decimal and exact, as Python numbers.

On the wire a number is an int64, a float64 if that is exactly the number, or else text: `0.1` arrives as text, because no
binary fraction is a tenth. In Python it is an int if it is whole; a float if that prints as the number, as 0.1 does; or else
a Decimal. Going back, a whole float is an int, and any other is what it prints as. So a number survives both ways unchanged.
"""

import math
from typing import Any


def read(value: Any) -> Any:
    """A number from the wire. Raises ValueError for text that is no number."""
    kind = type(value)
    if kind is str:
        return parse(value)
    if kind is not float or _prints_exactly(value) or math.isinf(value):
        return value
    if value.is_integer():
        return int(value)
    from decimal import Decimal

    number = Decimal(value)
    return value if Decimal(repr(value)) == number else number


def parse(digits: str) -> Any:
    """The number in JSON's or cty's notation. Raises ValueError for anything else."""
    try:
        return int(digits)
    except ValueError:
        near = float(digits)
    # Only now: fractions are rare, and imports cost start time.
    from decimal import Decimal

    number = Decimal(digits)
    if number == number.to_integral_value():
        return int(number)
    return near if Decimal(repr(near)) == number else number


def writable(value: Any) -> Any:
    """`value` with every float that isn't exactly what it prints as replaced by text, at any depth."""
    return _replace_floats(value) if _has_float(value) else value


def _has_float(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return any(map(_has_float, value.values()))
    if kind is list:
        return any(map(_has_float, value))
    return kind is float


def _replace_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _replace_floats(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_replace_floats(each) for each in value]
    return _writable_float(value) if isinstance(value, float) else value


def _writable_float(value: float) -> Any:
    if math.isnan(value):
        raise TypeError("a number that is none (NaN) is not a cty value")
    if math.isinf(value):
        return value
    if value.is_integer():
        return int(value)
    return value if _prints_exactly(value) else repr(value)


def _prints_exactly(value: float) -> bool:
    """Whether it surely is what it prints as. A multiple of 1/1024 has at most ten digits behind the point."""
    return not value.is_integer() and abs(value) < 1 << 20 and (value * 1024).is_integer()


def text(value: Any) -> str:
    """A whole number beyond int64, or a Decimal, as the wire has it."""
    return str(value) if isinstance(value, int) else format(value, "f")
