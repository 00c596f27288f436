"""Opens what Vouchsafe sealed, and seals for it to open, with PyPI's `cryptography`."""

import pathlib
import sys

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor

folder = pathlib.Path(sys.argv[1])
key = (folder / "key").read_bytes()

for ours in folder.glob("*.ours"):
    decryptor = Cobblestone256Decryptor(key, b"context")
    plain = decryptor.update(ours.read_bytes()) + decryptor.finalize()
    ours.with_suffix(".opened").write_bytes(plain)
    encryptor = Cobblestone256Encryptor(key, b"context")
    theirs = encryptor.update(plain) + encryptor.finalize()
    ours.with_suffix(".theirs").write_bytes(theirs)
