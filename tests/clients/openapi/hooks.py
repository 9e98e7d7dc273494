"""A key names one request, and the tool gives one key to many: each request gets a key of its own."""

import re
from uuid import uuid4

import schemathesis

KEY = re.compile(r'("[ !#-\[\]-~]{1,255}"|[!#-~][!-~]{0,254})')


@schemathesis.hook
def before_call(context, case, kwargs):
    for name, value in list((case.headers or {}).items()):
        if name.lower() == "idempotency-key" and KEY.fullmatch(str(value)):
            case.headers[name] = str(uuid4())
