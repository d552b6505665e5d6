"""Read a page the way a browser does: its elements, its text, and what is folded away."""

import base64
import hashlib
from html.parser import HTMLParser

EMPTY = {"meta", "link", "img", "input", "br", "rect"}


class Page(HTMLParser):
    """A page taken apart. Refuses elements that are not closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.shown = ""  # the text outside folds
        self.folded = ""  # the text inside them
        self.code: dict[str, list[str]] = {"script": [], "style": []}
        self.open: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == [], f"not closed: {self.open}"
        self.text = self.shown + self.folded

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in self.code:
            self.code[self.open[-1]].append(data)
            return
        words = " ".join(data.replace("\u202f", " ").split())
        if not words:
            return
        if "details" in self.open and "summary" not in self.open:
            self.folded += words + "\n"
        else:
            self.shown += words + "\n"

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.elements if name == tag]


def assert_safe(source: str) -> Page:
    """Assert that the page fetches nothing, and runs and styles nothing but our own two files."""
    page = Page(source)
    assert "http://" not in source
    assert "https://" not in source
    for tag, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on"), f"<{tag} {name}>"
            assert name != "style", f"<{tag} style>"
            if name in ("src", "href", "action", "data"):
                assert value.startswith("data:"), f"<{tag} {name}={value[:40]}>"
    policies = [m["content"] for m in page.all("meta") if m.get("http-equiv")]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'; ")
    assert "unsafe" not in policies[0]
    for kind in ("script", "style"):
        assert len(page.all(kind)) == 1
        (code,) = page.code[kind]
        sum_ = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{sum_}'" in policies[0]
    return page
