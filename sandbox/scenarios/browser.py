"""Pages and their forms, as far as a person with a browser needs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx


class Failed(Exception):
    """A story does not go on as it should."""


@dataclass(slots=True)
class Form:
    """A form and what it is filled in with already; of its buttons, each name with its values."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Page:
    """What a browser shows."""

    url: str
    status: int
    text: str
    forms: list[Form]

    def form(self, action: str = "") -> Form:
        """The form whose action ends like this. Raises Failed where there is none."""
        for form in self.forms:
            if form.action.endswith(action):
                return form
        raise Failed(f"{self.url} shows no form {action or 'at all'}: {self.text}")


class Browser:
    """Follows redirects and keeps cookies. Whoever made the client lets go of it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def open(self, url: str) -> Page:
        """Follow a link."""
        return _page(await self._client.get(url, follow_redirects=True))

    async def submit(self, page: Page, *, action: str = "", **filled_in: str) -> Page:
        """Send a form of this page, filled in; a button that was pressed is a field as well.

        Raises Failed for what the form does not have.
        """
        form = page.form(action)
        for name, value in filled_in.items():
            if name not in form.fields and value not in form.buttons.get(name, []):
                raise Failed(f"the form on {page.url} has no {name} that could be {value}")
        values = {**form.fields, **filled_in}
        return _page(await self._client.post(form.action, data=values, follow_redirects=True))


def _page(answer: httpx.Response) -> Page:
    reader = _Reader(str(answer.url))
    reader.feed(answer.text)
    return Page(str(answer.url), answer.status_code, " ".join(reader.words), reader.forms)


class _Reader(HTMLParser):
    """Finds the forms of a page, and what can be read on it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._select: str | None = None
        self._silent = False
        self.forms: list[Form] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of forms and their fields."""
        given = {name: value or "" for name, value in attrs}
        self._silent = tag in ("style", "script")
        if tag == "form":
            self.forms.append(Form(urljoin(self._url, given.get("action", ""))))
        elif not self.forms:
            return
        elif tag == "button" and "name" in given:
            self.forms[-1].buttons.setdefault(given["name"], []).append(given.get("value", ""))
        elif tag == "input" and "name" in given:
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "select":
            self._select = given.get("name")
        elif tag == "option" and self._select is not None:
            fields = self.forms[-1].fields
            if self._select not in fields or "selected" in given:
                fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        """A form's fields stand within it."""
        self._silent = False
        if tag == "select":
            self._select = None

    def handle_data(self, data: str) -> None:
        """Collect what can be read."""
        if not self._silent and data.strip():
            self.words.append(data.strip())
