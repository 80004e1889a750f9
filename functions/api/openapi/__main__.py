"""Prints the OpenAPI document: `python -m api.openapi > docs/openapi.json`."""

import json
import sys

from api.application import whole_app
from api.openapi.spec import openapi_document

json.dump(openapi_document(whole_app(), "/"), sys.stdout, indent=1, ensure_ascii=False)
sys.stdout.write("\n")
