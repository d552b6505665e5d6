"""A web page in one file: nothing is fetched, nothing but our own few lines of script runs.

The content policy of a page names the hashes of its style and its script, so text of a run that
slipped through the escaping could still not run.
"""

import base64
import hashlib
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup


@cache
def templates() -> jinja2.Environment:
    """Return the templates of this room; what they print is escaped, a missing name an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("vislab.runs", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, **content: Any) -> str:
    """Fill a template in. It gets `style`, `script` and `policy` beside `content`."""
    environment = templates()
    style, script = (own_file(environment, name) for name in ("report.css", "report.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {allowed(style)}; "
        f"script-src {allowed(script)}; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        content, style=Markup(style), script=Markup(script), policy=Markup(policy)
    )


def own_file(environment: jinja2.Environment, name: str) -> str:
    """Read one of our own files, as it will stand in the page."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def allowed(source: str) -> str:
    """Return the word by which a content policy allows exactly this style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def data_uri(content: bytes, kind: str) -> str:
    """Return the bytes as an address that needs no network; `kind` is like "image/png"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
