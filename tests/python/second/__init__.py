"""A second implementation of Credence's formats and arithmetic, written from `docs/spec/` and not from the Rust.

Modules in the order in which data flows: `canonical` (RFC 8785), `tree` (BLAKE3 trees and openings), `tensors`
(canonical bytes), `receipt` (envelope, statement, claim, commitments), `log` (trees, notes, proofs that travel), `model` (file, program, `ModelId`),
`arithmetic` (the ops of `exact-1`), `language` (runs over tokens and their ops), `trace` (layouts and roots),
`relations` (what a cell reads), `sampling` (draws), `text` (tokens and templates), `generation` (answers of language models),
`replay` (all of it at once).

It exists to show that the specifications suffice. It is not for use: it favours the specification's words over speed,
and any malformed input raises `Refused` with the first reason it meets.
"""


class Refused(Exception):
    """What was given is not what the specification allows, or not what was claimed."""


def require(condition: object, reason: str) -> None:
    """Raises `Refused` with `reason` unless `condition` holds."""
    if not condition:
        raise Refused(reason)
