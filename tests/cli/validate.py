# SPDX-License-Identifier: Apache-2.0
"""validate.py SCHEMA_DIR DOCUMENT_DIR: every <number>.<name>.json against <name>.schema.json.

Each document has to be exactly one line of JSON in UTF-8, with no key twice. Schemas are themselves
checked. Prints what does not fit; status 1 when anything does not.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError(f"a key twice among {keys}")
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


def parse(data):
    if not data.endswith(b"\n") or data.count(b"\n") != 1:
        raise ValueError("not one line")
    return json.loads(data.decode("utf-8"), object_pairs_hook=no_duplicates,
                      parse_constant=no_constant)


def main(schema_dir, document_dir):
    validators = {}
    for path in sorted(pathlib.Path(schema_dir).glob("*.schema.json")):
        schema = json.loads(path.read_text())
        Draft202012Validator.check_schema(schema)
        validators[path.name.removesuffix(".schema.json")] = Draft202012Validator(schema)

    bad = 0
    for path in sorted(pathlib.Path(document_dir).iterdir()):
        name = path.name.split(".")[1]
        try:
            errors = list(validators[name].iter_errors(parse(path.read_bytes())))
        except (KeyError, ValueError) as error:
            errors = [error]
        for error in errors[:5]:
            print(f"{name}: {error}")
            print(path.read_text(errors="replace")[:2000])
        bad += bool(errors)
    return 1 if bad else 0


sys.exit(main(*sys.argv[1:]))
