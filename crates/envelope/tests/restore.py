"""Opens an object without Vouchsafe: restore.py TENANT-KEY-IN-HEX OBJECT-FILE > PLAINTEXT"""

import hashlib
import hmac
import sys

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def encode(*parts):
    return b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def derive(key, *parts):
    return hmac.digest(key, encode(*parts) + b"\x01", "sha256")


tenant_key, data = bytes.fromhex(sys.argv[1]), open(sys.argv[2], "rb").read()
at = 107 + data[106]
fixed, recipients, at = data[:at], data[at], at + 1
for _ in range(recipients):
    at += 1 + data[at]  # the provider's name
    bound = data[at : at + 16], data[at + 16 : at + 20], hashlib.sha256(fixed).digest()
    wrapped = data[at + 21 : at + 21 + data[at + 20]]
    at += 21 + data[at + 20]
wrapping = AESGCM(derive(tenant_key, b"vouchsafe/envelope/wrap/v1", *bound))
data_key = wrapping.decrypt(wrapped[:12], wrapped[12:], None)
label = b"vouchsafe/envelope/header/v1"
mac = hmac.digest(derive(data_key, label), encode(label, data[:at]), "sha256")
assert hmac.compare_digest(mac, data[at : at + 32]), "the header was changed"
payload = Cobblestone256Decryptor(data_key, fixed)
sys.stdout.buffer.write(payload.update(data[at + 32 :]) + payload.finalize())
