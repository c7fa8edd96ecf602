# SPDX-License-Identifier: Apache-2.0
"""Secure aggregation as docs/protocol.md and docs/formats.md have it, in plain Python.

A second implementation of what devices and aggregator must agree on, from the pages, the headers'
notes and the RFCs, sharing no code with the C++: keys, seeds, commitments, hashes, the graph,
shares, boxes and masks. tools/make_secagg_vectors.py makes the vectors of tests/vectors/secagg/
with it. Nothing here is constant time or fast: it is for reading and for checking, and never for
real keys. It needs Python's standard library and nothing else.
"""
import hashlib
import struct

# --- Primitives, from their papers ----------------------------------------------------------------


def rotate(word, count):
    return ((word << count) | (word >> (32 - count))) & 0xFFFFFFFF


def quarter_round(state, a, b, c, d):
    for first, second, third, count in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[first] = (state[first] + state[second]) & 0xFFFFFFFF
        state[third] = rotate(state[third] ^ state[first], count)


def chacha_rounds(state):
    state = list(state)
    for _ in range(10):
        for column in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                       (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter_round(state, *column)
    return state


CHACHA_CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def chacha20(key, nonce, counter, length):
    """Keystream of RFC 8439: nonce of 12 bytes, counter of 32 bits."""
    stream = b""
    while len(stream) < length:
        state = (CHACHA_CONSTANTS + struct.unpack("<8I", key) + (counter,)
                 + struct.unpack("<3I", nonce))
        words = [(a + b) & 0xFFFFFFFF for a, b in zip(chacha_rounds(state), state)]
        stream += struct.pack("<16I", *words)
        counter += 1
    return stream[:length]


def poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    accumulator = 0
    for at in range(0, len(message), 16):
        block = int.from_bytes(message[at:at + 16] + b"\x01", "little")
        accumulator = (accumulator + block) * r % (2**130 - 5)
    return ((accumulator + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def padded(data):
    return data + bytes(-len(data) % 16)


def xchacha20_poly1305(key, nonce, associated, plaintext):
    """draft-irtf-cfrg-xchacha-03: ciphertext, then the tag."""
    words = chacha_rounds(CHACHA_CONSTANTS + struct.unpack("<8I", key)
                          + struct.unpack("<4I", nonce[:16]))
    subkey = struct.pack("<8I", *(words[:4] + words[12:]))
    short_nonce = bytes(4) + nonce[16:]
    stream = chacha20(subkey, short_nonce, 1, len(plaintext))
    ciphertext = bytes(a ^ b for a, b in zip(plaintext, stream))
    authenticated = (padded(associated) + padded(ciphertext)
                     + struct.pack("<QQ", len(associated), len(ciphertext)))
    return ciphertext + poly1305(chacha20(subkey, short_nonce, 0, 32), authenticated)


P25519 = 2**255 - 19


def x25519(scalar, point):
    """RFC 7748, the Montgomery ladder of its section 5."""
    k = (int.from_bytes(scalar, "little") & ~7 & ~(1 << 255)) | (1 << 254)
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        if swap != (k >> bit) & 1:
            x2, x3, z2, z3, swap = x3, x2, z3, z2, (k >> bit) & 1
        plus, minus = (x2 + z2) % P25519, (x2 - z2) % P25519
        cross_a = (x3 - z3) * plus % P25519
        cross_b = (x3 + z3) * minus % P25519
        square_a, square_b = plus * plus % P25519, minus * minus % P25519
        difference = (square_a - square_b) % P25519
        x3, z3 = (cross_a + cross_b)**2 % P25519, u * (cross_a - cross_b)**2 % P25519
        x2 = square_a * square_b % P25519
        z2 = difference * (square_a + 121665 * difference) % P25519
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P25519 - 2, P25519) % P25519).to_bytes(32, "little")


def x25519_public(scalar):
    return x25519(scalar, (9).to_bytes(32, "little"))


ED_D = -121665 * pow(121666, P25519 - 2, P25519) % P25519
ED_ORDER = 2**252 + 27742317777372353535851937790883648493
ED_BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
           46316835694926478169428394003475163141307993866256225615783033603165251855960)


def ed_add(first, second):
    (x1, y1), (x2, y2) = first, second
    product = ED_D * x1 * x2 * y1 * y2 % P25519
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P25519 - 2, P25519)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P25519 - 2, P25519)
    return x % P25519, y % P25519


def ed_multiply(scalar, point):
    sum_point = (0, 1)
    while scalar:
        if scalar & 1:
            sum_point = ed_add(sum_point, point)
        point = ed_add(point, point)
        scalar >>= 1
    return sum_point


def ed_encode(point):
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def ed25519_secret(seed):
    digest = hashlib.sha512(seed).digest()
    return (int.from_bytes(digest[:32], "little") & ~7 & ~(1 << 255)) | 1 << 254, digest[32:]


def ed25519_public(seed):
    return ed_encode(ed_multiply(ed25519_secret(seed)[0] & (2**255 - 1), ED_BASE))


def ed25519_sign(seed, message):
    """RFC 8032, section 5.1.6."""
    secret, prefix = ed25519_secret(seed)
    secret &= 2**255 - 1
    public = ed25519_public(seed)
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ED_ORDER
    commitment = ed_encode(ed_multiply(nonce, ED_BASE))
    challenge = hashlib.sha512(commitment + public + message).digest()
    answer = (nonce + int.from_bytes(challenge, "little") * secret) % ED_ORDER
    return commitment + answer.to_bytes(32, "little")


# --- What everything is bound to ------------------------------------------------------------------


def with_domain(label, payload):
    """What is signed or hashed: u8 length, label, u64 length, payload."""
    label = ("coppice/v1/" + label).encode()
    return bytes([len(label)]) + label + struct.pack("<Q", len(payload)) + payload


def domain_hash(label, payload):
    return hashlib.sha256(with_domain(label, payload)).digest()


def derive_key(key, label, context):
    return hashlib.blake2b(with_domain(label, context), key=key, digest_size=32).digest()


# --- Keys, seeds and commitments ------------------------------------------------------------------


def client_id(signing_seed):
    return hashlib.sha256(ed25519_public(signing_seed)).digest()[:16]


def commit_nonce(nonce, client, plan_hash, attempt):
    return domain_hash("nonce-commitment", nonce + client + plan_hash + bytes([attempt]))


def advert(client, plan_hash, attempt, box_key, mask_key, commitment):
    return (struct.pack("<H", 1) + client + plan_hash + bytes([attempt]) + box_key + mask_key
            + commitment)


def agree(secret, theirs, context):
    mine = x25519_public(secret)
    ordered = min(mine, theirs) + max(mine, theirs)
    return derive_key(x25519(secret, theirs), "agreement", ordered + context)


def pairwise_seed(secret, theirs, roster_hash):
    return derive_key(agree(secret, theirs, roster_hash), "pairwise-mask", roster_hash)


def self_seed(secret, roster_hash):
    return derive_key(secret, "self-mask", roster_hash)


def self_commitment(secret, roster_hash):
    return derive_key(secret, "self-commitment", roster_hash)


def seal_box(secret, theirs, roster_hash, sender, recipient, plaintext):
    """Between two members of the roster; opened with the same arguments but for the key's end."""
    agreed = agree(secret, theirs, roster_hash)
    key = derive_key(agreed, "share-box", x25519_public(secret) + theirs)
    return xchacha20_poly1305(key, bytes(24), struct.pack("<II", sender, recipient), plaintext)


# --- Roster, graph, survivors ---------------------------------------------------------------------


def roster_hash(plan_hash, attempt, entries):
    """Entries (client, hash of the advert, nonce commitment), sorted by client."""
    body = plan_hash + bytes([attempt]) + struct.pack("<I", len(entries))
    return domain_hash("roster", body + b"".join(b"".join(entry) for entry in entries))


def bit_field(members, count):
    bits = bytearray((count + 7) // 8)
    for member in members:
        bits[member // 8] |= 1 << (member % 8)
    return bytes(bits)


def survivors_hash(roster, shared, survivors, count):
    body = roster
    for members in (shared, survivors):
        bits = bit_field(members, count)
        body += struct.pack("<I", len(bits)) + bits
    return domain_hash("survivors", body)


def graph_order(roster, nonces):
    """order[p]: the member at position p of the ring."""
    seed = domain_hash("graph", roster + b"".join(nonces))
    words, block = [], 0

    def below(bound):
        nonlocal words, block
        while True:
            if not words:
                digest = domain_hash("graph", seed + struct.pack("<Q", block))
                words = list(struct.unpack("<8I", digest))
                block += 1
            word = words.pop(0)
            if word < 2**32 - 2**32 % bound:
                return word % bound

    order = list(range(len(nonces)))
    for last in range(len(order) - 1, 0, -1):
        other = below(last + 1)
        order[last], order[other] = order[other], order[last]
    return order


def neighbours(order, member, degree):
    """At most degree / 2 positions away on the ring; all others in a complete graph."""
    count = len(order)
    if degree == count - 1:
        return sorted(set(order) - {member})
    at = order.index(member)
    return sorted(order[(at + step) % count]
                  for step in range(-(degree // 2), degree // 2 + 1) if step)


# --- Shamir's shares ------------------------------------------------------------------------------

P61 = 2**61 - 1


def secret_limbs(secret):
    number = int.from_bytes(secret, "little")
    return [number >> 52 * limb & (2**52 - 1) for limb in range(5)]


def share(secret, coefficients, number):
    """Share `number` of a secret. coefficients[limb]: of x, x^2, ... in that limb's polynomial."""
    made = b""
    for limb, higher in zip(secret_limbs(secret), coefficients):
        value = sum(c * pow(number, power, P61) for power, c in enumerate([limb] + higher)) % P61
        made += struct.pack("<Q", value)
    return made


def reconstruct(shares):
    """The secret from {number: share}, as many as the threshold."""
    number = 0
    for limb in range(5):
        total = 0
        for x, data in shares.items():
            factor = 1
            for other in shares:
                if other != x:
                    factor = factor * other * pow(other - x, P61 - 2, P61) % P61
            total += struct.unpack_from("<Q", data, 8 * limb)[0] * factor
        number |= total % P61 << 52 * limb
    return number.to_bytes(32, "little")


# --- Masks ----------------------------------------------------------------------------------------


def mask(seed, slots):
    """Elements of the mask over slots of (elements, bits): 2 bytes each at 16 bits, else 4."""
    length = sum(count * (2 if bits == 16 else 4) for count, bits in slots)
    stream, at, made = chacha20(seed, bytes(12), 0, length), 0, []
    for count, bits in slots:
        size = 2 if bits == 16 else 4
        for _ in range(count):
            made.append(int.from_bytes(stream[at:at + size], "little") % 2**bits)
            at += size
    return made


def add(vector, other, sign, slots):
    widths = [bits for count, bits in slots for _ in range(count)]
    return [(a + sign * b) % 2**bits for a, b, bits in zip(vector, other, widths)]
