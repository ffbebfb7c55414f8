"""Reads pages that the package writes: elements, texts, and the data of their script."""

import json
import re
from html.parser import HTMLParser

VOID = {"meta", "input", "br", "link", "img"}


class Checker(HTMLParser):
    """Fails on an element that is closed out of turn; keeps texts, ids and the data."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.text, self.tags, self.scripts = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> out of turn at {self.getpos()}"

    def handle_data(self, text):
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.text).append(text)


def parsed(html):
    checker = Checker()
    checker.feed(html)
    checker.close()
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    return checker


def data_of(html):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)[1])
