"""Strict Ed25519 verification (RFC 8032, section 5.1.7, without the cofactor; `docs/spec/receipt.md`, section 1).

Libraries differ in what they accept at the edges (points of small order, other encodings of a point), and a
receipt must not be good for one verifier and bad for another. So the edges are written out here: slowly, and for
verifying alone.
"""

import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
_ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

# Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z.
Point = tuple[int, int, int, int]
IDENTITY: Point = (0, 1, 1, 0)


def add(p: Point, q: Point) -> Point:
    """The group law; complete, so it doubles as well."""
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar: int, point: Point) -> Point:
    result = IDENTITY
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def equal(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def decompress(data: bytes) -> Point | None:
    """The point whose one canonical encoding these 32 bytes are."""
    y, sign = int.from_bytes(data, "little") & (2**255 - 1), data[31] >> 7
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * _ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


def strict_point(data: bytes) -> Point | None:
    """A canonical point that is not of small order."""
    point = decompress(data) if len(data) == 32 else None
    return None if point is None or equal(multiply(8, point), IDENTITY) else point


def _base() -> Point:
    point = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


BASE = _base()


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether this is the key's signature over exactly these bytes."""
    if len(signature) != 64:
        return False
    key, nonce = strict_point(public_key), strict_point(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or nonce is None or scalar >= ORDER:
        return False
    challenge = hashlib.sha512(signature[:32] + public_key + message).digest()
    digest = int.from_bytes(challenge, "little") % ORDER
    return equal(multiply(scalar, BASE), add(nonce, multiply(digest, key)))
