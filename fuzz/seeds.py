#!/usr/bin/env python3
"""Writes the golden vectors as seeds: corpus/TARGET/ID, one file per message.

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


def main():
    count = 0
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
