#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Test vectors of secure aggregation, for a second implementation: tests/vectors/secagg/*.json.

    tools/make_secagg_vectors.py           writes them
    tools/make_secagg_vectors.py --check   exit code 1 where a file is not what would be written

Everything is computed by tools/secagg_reference.py, from secrets that are hashes of their names.
Bytes are hexadecimal; numbers are numbers. The README in the folder says what each file has.
"""
import argparse
import hashlib
import json
import sys
from pathlib import Path

import secagg_reference as reference

FOLDER = Path(__file__).parent.parent / "tests" / "vectors" / "secagg"
PLAN_HASH = hashlib.sha256(b"the plan of the vectors").digest()


def secret(name):
    """32 bytes that only this name has. Never use them for anything else."""
    return hashlib.sha256(b"coppice secagg vector: " + name.encode()).digest()


def numbers(name, count, bound):
    """Integers from 0 to bound - 1, of a name."""
    return [int.from_bytes(secret(f"{name} {index}")[:8], "little") % bound
            for index in range(count)]


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: hexed(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [hexed(inner) for inner in value]
    return value


class Device:
    """One device's secrets of a round, and what it advertises."""

    def __init__(self, name, attempt=0):
        self.signing = secret(name + " signing")
        self.box, self.mask = secret(name + " box"), secret(name + " mask")
        self.self_secret = secret(name + " self")
        self.nonce = secret(name + " nonce")
        self.attempt = attempt
        self.client = reference.client_id(self.signing)
        self.box_public = reference.x25519_public(self.box)
        self.mask_public = reference.x25519_public(self.mask)
        self.commitment = reference.commit_nonce(self.nonce, self.client, PLAN_HASH, attempt)
        self.advert = reference.advert(self.client, PLAN_HASH, attempt, self.box_public,
                                       self.mask_public, self.commitment)

    def entry(self):
        return self.client, hashlib.sha256(self.advert).digest(), self.commitment

    def described(self):
        return {"signing_seed": self.signing, "client": self.client, "plan_hash": PLAN_HASH,
                "attempt": self.attempt, "box_secret": self.box, "box_key": self.box_public,
                "mask_secret": self.mask, "mask_key": self.mask_public,
                "self_secret": self.self_secret, "nonce": self.nonce,
                "nonce_commitment": self.commitment, "advert": self.advert,
                "advert_hash": hashlib.sha256(self.advert).digest(),
                "signature": reference.ed25519_sign(
                    self.signing, reference.with_domain("advert", self.advert))}


# --- One function a file --------------------------------------------------------------------------


def keys():
    roster = secret("a roster")
    pairs = []
    for case in range(3):
        mine, theirs = secret(f"mine {case}"), secret(f"theirs {case}")
        public = reference.x25519_public(theirs)
        pairs.append({"secret": mine, "key": reference.x25519_public(mine), "peer_key": public,
                      "peer_secret": theirs,
                      "agreement": reference.agree(mine, public, roster),
                      "pairwise_seed": reference.pairwise_seed(mine, public, roster)})
    own = [{"secret": secret(f"own {case}"),
            "self_seed": reference.self_seed(secret(f"own {case}"), roster),
            "self_commitment": reference.self_commitment(secret(f"own {case}"), roster)}
           for case in range(3)]
    return {"roster_hash": roster, "pairs": pairs, "own": own}


def adverts():
    return {"adverts": [Device(f"advertiser {attempt}", attempt).described()
                        for attempt in (0, 1, 7)]}


def graph():
    cases = []
    for members, degree in ((4, 3), (5, 4), (40, 8), (100, 32)):
        entries = sorted((secret(f"client {members} {i}")[:16], secret(f"advert {members} {i}"),
                          secret(f"commitment {members} {i}")) for i in range(members))
        roster = reference.roster_hash(PLAN_HASH, 1, entries)
        nonces = [secret(f"nonce {members} {i}") for i in range(members)]
        order = reference.graph_order(roster, nonces)
        shared = [i for i in range(members) if i % 7 != 3]
        survivors = [i for i in shared if i % 5 != 1]
        cases.append({
            "plan_hash": PLAN_HASH, "attempt": 1, "degree": degree,
            "entries": [{"client": c, "advert_hash": a, "nonce_commitment": n}
                        for c, a, n in entries],
            "roster_hash": roster, "nonces": nonces, "order": order,
            "neighbours": [reference.neighbours(order, i, degree) for i in range(min(members, 6))],
            "shared": shared, "survivors": survivors,
            "survivors_hash": reference.survivors_hash(roster, shared, survivors, members)})
    return {"graphs": cases}


def shares():
    cases = []
    for threshold, count in ((2, 3), (5, 7), (11, 16)):
        name = f"shared {threshold} of {count}"
        coefficients = [numbers(f"{name} limb {limb}", threshold - 1, reference.P61)
                        for limb in range(5)]
        dealt = {x: reference.share(secret(name), coefficients, x) for x in range(1, count + 1)}
        last = dict(list(dealt.items())[-threshold:])
        assert reference.reconstruct(last) == secret(name)
        cases.append({"secret": secret(name), "threshold": threshold,
                      # of x, x^2, ...; as text, since JSON's numbers may have 53 bits only
                      "coefficients": [[str(c) for c in limb] for limb in coefficients],
                      "shares": [{"number": x, "share": data} for x, data in dealt.items()]})
    return {"secrets": cases}


def boxes():
    roster, cases = secret("a roster"), []
    for case, (sender, recipient) in enumerate(((0, 1), (7, 3), (9999, 258))):
        mine, theirs = secret(f"boxer {case}"), secret(f"boxed {case}")
        plaintext = secret(f"share {case}") + secret(f"share too {case}") + bytes(range(16))
        cases.append({"secret": mine, "peer_secret": theirs, "from": sender, "to": recipient,
                      "peer_key": reference.x25519_public(theirs), "plaintext": plaintext,
                      "box": reference.seal_box(mine, reference.x25519_public(theirs), roster,
                                                sender, recipient, plaintext)})
    return {"roster_hash": roster, "boxes": cases}


def masks():
    cases = [{"seed": secret(f"mask of {slots}"), "slots": slots,
              "mask": reference.mask(secret(f"mask of {slots}"), slots)}
             for slots in ([(40, 16)], [(20, 20)], [(20, 24)], [(20, 32)],
                           [(7, 16), (5, 32), (3, 16), (2, 24), (4, 20)])]
    for case in cases:
        case["slots"] = [{"elements": count, "bits": bits} for count, bits in case["slots"]]
    return {"masks": cases}


SLOTS = [(6, 16), (2, 24), (1, 32)]


def masked_vector(devices, member, vector, roster):
    device = devices[member]
    vector = reference.add(vector, reference.mask(
        reference.self_seed(device.self_secret, roster), SLOTS), 1, SLOTS)
    for other, peer in enumerate(devices):
        if other != member:
            seed = reference.pairwise_seed(device.mask, peer.mask_public, roster)
            sign = 1 if member < other else -1  # the lower member adds
            vector = reference.add(vector, reference.mask(seed, SLOTS), sign, SLOTS)
    return vector


def whole_round():
    """Four devices, complete graph; member 2 shares its secrets and is then gone."""
    devices = sorted((Device(f"device {i}") for i in range(4)), key=lambda device: device.client)
    roster = reference.roster_hash(PLAN_HASH, 0, [device.entry() for device in devices])
    order = reference.graph_order(roster, [device.nonce for device in devices])
    gone, survivors = 2, [0, 1, 3]
    vectors = [[value % 2**bits for value, bits in
                zip(numbers(f"vector {i}", 9, 2**32), [b for n, b in SLOTS for _ in range(n)])]
               for i in range(4)]
    masked = [masked_vector(devices, i, vectors[i], roster) for i in range(4)]
    total = [0] * 9
    for member in survivors:
        total = reference.add(total, masked[member], 1, SLOTS)
    # What comes off: each survivor's own mask, and each pair's mask with the device that is gone.
    for member in survivors:
        own = reference.self_seed(devices[member].self_secret, roster)
        total = reference.add(total, reference.mask(own, SLOTS), -1, SLOTS)
        pair = reference.pairwise_seed(devices[gone].mask, devices[member].mask_public, roster)
        total = reference.add(total, reference.mask(pair, SLOTS), -1 if member < gone else 1, SLOTS)
    expected = [0] * 9
    for member in survivors:
        expected = reference.add(expected, vectors[member], 1, SLOTS)
    assert total == expected
    return {"plan_hash": PLAN_HASH, "attempt": 0,
            "slots": [{"elements": count, "bits": bits} for count, bits in SLOTS],
            "members": [dict(device.described(), vector=vectors[i], masked=masked[i],
                             position=order.index(i),
                             self_commitment=reference.self_commitment(device.self_secret, roster))
                        for i, device in enumerate(devices)],
            "roster_hash": roster, "shared": [0, 1, 2, 3], "survivors": survivors,
            "survivors_hash": reference.survivors_hash(roster, range(4), survivors, 4),
            "sum": total}


FILES = {"keys": keys, "adverts": adverts, "graph": graph, "shares": shares, "boxes": boxes,
         "masks": masks, "round": whole_round}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    check = parser.parse_args().check
    differ = 0
    for name, make in FILES.items():
        path = FOLDER / f"{name}.json"
        text = json.dumps(hexed(make()), indent=1) + "\n"
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: not what the script makes; run tools/make_secagg_vectors.py")
            differ = 1
    return differ


if __name__ == "__main__":
    sys.exit(main())
