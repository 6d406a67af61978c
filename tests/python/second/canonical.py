"""RFC 8785 JSON, as far as Credence uses it: no fractions, integers within 53 bits, no null.

Reading parses, writes again and compares, so that white space, order, doubled members and other spellings of one
value are all refused by one comparison.
"""

import base64
import binascii
import json
import re

from . import Refused, require

INTEGER_MAX = 2**53


def encode(value: object) -> bytes:
    """The canonical bytes. Members are in the order of their UTF-16 code units (RFC 8785, section 3.2.3)."""
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _ordered(value: object) -> object:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value, key=lambda key: key.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, (bool, str)):
        return value
    require(isinstance(value, int) and abs(value) < INTEGER_MAX, f"not a value that receipts use: {value!r}")
    return value


def decode(data: bytes) -> object:
    """The value of canonical bytes, and of no others."""
    try:
        value = json.loads(data.decode(), parse_float=_no_fraction, parse_constant=_no_fraction)
        again = encode(value)
    except (UnicodeError, ValueError, RecursionError) as error:
        raise Refused("not JSON") from error
    require(again == data, "not canonical JSON")
    return value


def _no_fraction(text: str) -> None:
    raise Refused(f"a number that is not an integer: {text}")


def members(value: object, required: set[str], optional: frozenset[str] = frozenset()) -> dict:
    """`value`, if it is an object with all `required` members and no others but `optional` ones."""
    require(isinstance(value, dict), "not an object")
    missing, surplus = required - value.keys(), value.keys() - required - optional
    require(not missing and not surplus, f"missing members {sorted(missing)}, unknown members {sorted(surplus)}")
    return value


def hex32(value: object) -> bytes:
    """32 bytes of 64 lower-case hexadecimal digits."""
    require(isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value), "not 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)


def u64(value: object) -> int:
    """An unsigned 64-bit integer in a decimal string, without needless zeros."""
    require(isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,19}", value), "not a decimal string")
    require(int(value) < 2**64, "over 64 bits")
    return int(value)


def unbase64(value: object) -> bytes:
    """Bytes in standard base64 with padding, canonical (no loose bits)."""
    require(isinstance(value, str), "not base64")
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused("not base64") from error
    require(base64.b64encode(data).decode() == value, "not canonical base64")
    return data
