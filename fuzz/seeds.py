#!/usr/bin/env python3
"""Writes the golden vectors as seeds: corpus/TARGET/ID, one file per message; and for `rings` what
a peer does that keeps the rules, and one for each rule that it breaks.

Run it again whenever the vectors change; it only adds.
"""

import json
import pathlib
import struct

FUZZ = pathlib.Path(__file__).resolve().parent
CORPUS = FUZZ / "corpus"
VECTORS = FUZZ.parent / "vectors"

# Vectors whose bytes are the whole input of a fuzz target.
PLAIN = {
    "increment": ["increment_request", "increment_reply"],
    "batch": ["increment_request"],
    "string_reverse": ["string_reverse_request", "string_reverse_reply"],
    "cgroups_snapshot_request": ["cgroups_snapshot_request"],
    "cgroups_snapshot_response": ["cgroups_snapshot_reply"],
    "snapshot_build": ["cgroups_snapshot_reply"],
    "cgroups_lookup_request": ["cgroups_lookup_request"],
    "cgroups_lookup_response": ["cgroups_lookup_reply"],
    "cgroups_lookup_dispatch": ["cgroups_lookup_reply"],
    "apps_lookup_request": ["apps_lookup_request"],
    "apps_lookup_response": ["apps_lookup_reply"],
    "apps_lookup_dispatch": ["apps_lookup_reply"],
    "server_handshake": ["hello"],
    "client_handshake": ["hello_ack"],
}

# Replies that may also be one of several; see `doors::stitch_cgroups`.
STITCHED = {
    "cgroups_lookup_response": "cgroups_lookup_stitch",
    "cgroups_lookup_dispatch": "cgroups_lookup_stitch",
    "apps_lookup_response": "apps_lookup_stitch",
    "apps_lookup_dispatch": "apps_lookup_stitch",
}


def pieces(messages):
    """Messages one behind the other, each behind its length."""
    return b"".join(struct.pack("<H", len(message)) + message for message in messages)


def seeds(vector):
    """The inputs that a vector makes, as pairs of a target and bytes."""
    target = vector["target"]
    if "hex" in vector:
        message = bytes.fromhex(vector["hex"])
        for fuzz_target in PLAIN.get(target, []):
            yield fuzz_target, message
        if target in STITCHED and len(message) <= 0xFFFF:
            # Session limits for requests and responses, then the replies.
            limits = struct.pack("<HH", 1024, 4096)
            yield STITCHED[target], limits + pieces([message, message])
    if "packets" in vector:
        session = vector["session"]
        size = min(session["packet_size"], 0xFFFF)
        role = 0 if session.get("role") == "client" else 1
        packets = [bytes.fromhex(packet) for packet in vector["packets"]]
        yield "packets", struct.pack("<HBB", size, role, 16) + pieces(packets)


# The steps of `rings`, see `tests/doors/mod.rs` of netipc.
MESSAGE, ANNOUNCE, WORD, TAKEN, SLEEPS, WAKE, PACKET, HOLE = 0, 3, 5, 6, 7, 8, 9, 10
TRY_RECEIVE, RECEIVE, SEND, HANG_UP = 11, 12, 13, 14


def message(ident, length):
    return struct.pack("<BBBH", MESSAGE, ident, 0, length)


def send(length):
    return struct.pack("<BH", SEND, length)


def rings_seeds():
    """Names and inputs of `rings`: the head says role, bells and sizes."""
    call = send(8) + message(0, 8) + bytes([WAKE, TRY_RECEIVE])
    steps = {
        "calls": call + send(8) + message(1, 8) + bytes([TRY_RECEIVE]),
        "asleep": bytes([TRY_RECEIVE, SLEEPS, 0, 1, SLEEPS, 1, 1]) + call,
        "many": b"".join(send(8) + message(n, 8) for n in range(40)) + bytes([TRY_RECEIVE]) * 40,
        "parts": send(50_000) + message(0, 50_000) + bytes([TRY_RECEIVE, RECEIVE]),
        "full": send(40_000) * 8 + bytes([TAKEN, 0, 1, WAKE]) + send(8),
        "batch": struct.pack("<BBBH", MESSAGE, 0, 1, 64) + bytes([TRY_RECEIVE]),
        "empty": bytes([ANNOUNCE, 0, 0, TRY_RECEIVE]),
        "long": bytes([ANNOUNCE, 2, 0, TRY_RECEIVE]),
        "taken": send(40_000) * 8 + bytes([TAKEN, 2, 0]) + send(8),
        "word": bytes([WORD, 0, 128, 0, 0]) + call,
        "packets": bytes([PACKET, 1, PACKET, 255, TRY_RECEIVE, PACKET, 0, TRY_RECEIVE]),
        "hole": call + struct.pack("<BHH", HOLE, 0, 2000) + call,
        "end": call + bytes([HANG_UP, 0, TRY_RECEIVE]) + send(8),
        "half": call + bytes([HANG_UP, 1, RECEIVE]) + send(8),
    }
    for name, seed in steps.items():
        for role in range(2):
            for bells in range(2):
                yield f"{name}-{role}{bells}", bytes([role, bells, 1]) + seed


def main():
    count = 0
    for name, seed in rings_seeds():
        directory = CORPUS / "rings"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(seed)
        count += 1
    for path in sorted(VECTORS.glob("*.json")):
        for vector in json.loads(path.read_text())["vectors"]:
            for target, seed in seeds(vector):
                directory = CORPUS / target
                directory.mkdir(parents=True, exist_ok=True)
                (directory / vector["id"]).write_bytes(seed)
                count += 1
    print(f"{count} seeds in {CORPUS}")


if __name__ == "__main__":
    main()
