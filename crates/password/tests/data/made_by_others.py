"""Hashes made by the software that this crate imports from, for tests/imports.rs and tests/argon2.rs.

    python3 -m venv venv
    venv/bin/pip install django==5.2.19 passlib==1.7.4 bcrypt==4.3.0 argon2-cffi==25.1.0
    venv/bin/python made_by_others.py

writes imports.tsv (maker, password in hexadecimal UTF-8, text) and argon2.tsv (password, salt, m, t,
p, tag; the bytes in hexadecimal) beside itself. Salts are fixed, so a second run writes the same.
"""

import random
import warnings
from pathlib import Path

import argon2
import bcrypt
import django
import passlib
from argon2.low_level import Type, hash_secret_raw
from django.conf import settings

warnings.simplefilter("ignore")
settings.configure()
django.setup()

from django.contrib.auth import hashers  # noqa: E402
from passlib import hash as passlib_hash  # noqa: E402

HERE = Path(__file__).parent
PASSWORDS = [
    "secret",
    "lètmein",
    "correct horse battery staple",
    " spaces at both ends ",
    "пароль-密码-🔑",
    "x" * 71,
    "x" * 72,
    "x" * 72 + " and what bcrypt does not look at",
    "é" * 40,
    "a" * 200,
]


def django_texts(password):
    def of(name, hasher, salt="seasaltseasalt12", **more):
        yield f"Django {django.__version__} {name}", hasher.encode(password, salt, **more)

    yield from of("pbkdf2_sha256", hashers.PBKDF2PasswordHasher(), iterations=1200)
    yield from of("pbkdf2_sha1", hashers.PBKDF2SHA1PasswordHasher(), iterations=1200)
    yield from of("argon2", hashers.Argon2PasswordHasher())
    scrypt = hashers.ScryptPasswordHasher()
    yield from of("scrypt", scrypt, n=2**8, r=8, p=5)
    bcrypt_salt = b"$2b$04$abcdefghijklmnopqrstuu"
    yield from of("bcrypt_sha256", hashers.BCryptSHA256PasswordHasher(), salt=bcrypt_salt)
    if len(password.encode()) <= 72:
        yield from of("bcrypt", hashers.BCryptPasswordHasher(), salt=bcrypt_salt)


def passlib_texts(password):
    def of(name, hasher):
        yield f"passlib {passlib.__version__} {name}", hasher.hash(password)

    salt = bytes(range(16))
    h = passlib_hash
    yield from of("pbkdf2_sha1", h.pbkdf2_sha1.using(rounds=1200, salt=salt))
    yield from of("pbkdf2_sha256", h.pbkdf2_sha256.using(rounds=1200, salt=salt))
    yield from of("pbkdf2_sha512", h.pbkdf2_sha512.using(rounds=1200, salt=salt))
    yield from of("scrypt", h.scrypt.using(rounds=8, salt=salt))
    text = "abcdefghijklmnopqrstuu"
    for ident in ("2a", "2b", "2y"):
        yield from of(f"bcrypt {ident}", h.bcrypt.using(rounds=4, ident=ident, salt=text))
    for version in (1, 2):
        hasher = h.bcrypt_sha256.using(rounds=4, version=version, salt=text)
        yield from of(f"bcrypt_sha256 v{version}", hasher)


def bcrypt_texts(password):
    secret = password.encode()[:72]
    text = bcrypt.hashpw(secret, b"$2b$05$......................").decode()
    yield f"bcrypt {bcrypt.__version__}", text


def argon2_texts(password):
    for kind in (Type.ID, Type.I, Type.D):
        for version in (0x13, 0x10):
            text = argon2.low_level.hash_secret(
                password.encode(), b"saltsaltsaltsalt", 2, 64, 2, 32, kind, version
            ).decode()
            yield f"argon2-cffi {argon2.__version__} {kind.name} {version:#x}", text
            if version == 0x10:
                # As Argon2 wrote before there was a second version.
                yield f"Argon2 1.0 {kind.name}, no version", text.replace("$v=16", "")


def main():
    lines = []
    for password in PASSWORDS:
        for texts in (django_texts, passlib_texts, bcrypt_texts, argon2_texts):
            for maker, text in texts(password):
                lines.append(f"{maker}\t{password.encode().hex()}\t{text}\n")
    # What these write when nobody says how.
    defaults = "as it comes out of the box"
    for name in ("default", "argon2", "scrypt", "bcrypt_sha256"):
        encoded = hashers.make_password(defaults, salt=None, hasher=name)
        lines.append(f"Django {django.__version__} {name}\t{defaults.encode().hex()}\t{encoded}\n")
    for name in ("pbkdf2_sha256", "pbkdf2_sha512", "scrypt", "bcrypt", "bcrypt_sha256", "argon2"):
        encoded = getattr(passlib_hash, name).hash(defaults)
        lines.append(f"passlib {passlib.__version__} {name}\t{defaults.encode().hex()}\t{encoded}\n")
    HERE.joinpath("imports.tsv").write_text("".join(lines))

    chance = random.Random(9106)
    alphabet = [chr(c) for c in range(32, 127)] + list("äöüßéñłžд你🙂")
    lines = []
    for _ in range(1000):
        password = "".join(chance.choices(alphabet, k=chance.randint(0, 64))).encode()
        salt = chance.randbytes(chance.randint(8, 48))
        lanes = chance.randint(1, 4)
        memory = chance.randint(8 * lanes, 300)
        passes = chance.randint(1, 4)
        tag = hash_secret_raw(password, salt, passes, memory, lanes, chance.randint(16, 64), Type.ID)
        row = (password.hex(), salt.hex(), memory, passes, lanes, tag.hex())
        lines.append("\t".join(map(str, row)) + "\n")
    HERE.joinpath("argon2.tsv").write_text("".join(lines))


main()
