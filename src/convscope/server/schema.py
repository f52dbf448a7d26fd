"""Prints the schema that the page's types are generated from: `python -m convscope.server.schema`.

The text depends only on the models.
"""

import json
import sys

from convscope.server.app import build


def schema() -> str:
    """The OpenAPI description of the routes, as JSON with sorted keys."""
    description = build(None).openapi()
    description["info"]["version"] = "1"  # not convscope's version, which does not change the types
    return json.dumps(description, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema())
