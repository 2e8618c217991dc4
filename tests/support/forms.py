"""Forms of Prefect's user interface, filled in and sent back in a real browser."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.conftest import CHROMIUM

FIELD = "*[self::textarea or self::input[not(@type='checkbox')]]"
"""XPath of what one can write into."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser for as long as the block runs."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


def picture(page: Any, name: str, directory: Path) -> None:
    """Keep a picture of ``page`` where CI collects them, or in ``directory``."""
    pictures = Path(os.environ.get("CAROUSEL_SCREENSHOTS", directory))
    pictures.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=pictures / f"{name}.png", full_page=True)


class Form:
    """The form of a deployment, open in a page of one of Prefect's two user interfaces: "" or "/v2"."""

    def __init__(self, browser: Any, prefect: str, deployment: UUID, interface: str = "/v2") -> None:
        self.prefect, self.deployment = prefect, deployment
        self.written: list[tuple[Any, str]] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 1600})
        self.page.goto(f"{prefect}{interface}/deployments/deployment/{deployment}/run")
        self.page.get_by_role("button", name="Submit").wait_for(timeout=60_000)

    def tab(self, name: str) -> None:
        self.page.get_by_text(name, exact=True).first.click()

    def add(self) -> None:
        """Press the first button of a list, and wait until its field is there."""
        fields = self.page.locator(f"xpath=//{FIELD}")
        known = fields.count()
        self.page.get_by_role("button", name="Add item").first.click()
        fields.nth(known).wait_for(state="attached")

    def write(self, label: str, text: str) -> None:
        """Write into the first field below ``label``."""
        below = f"//label[starts-with(normalize-space(.), '{label}')]/following::{FIELD}[1]"
        field = self.page.locator(f"xpath={below}").first
        field.fill(text)
        self.written.append((field, text))

    def press(self) -> None:
        """Press the button when all that was written stands there: a page that is still loading draws itself anew."""
        for field, text in self.written:
            if field.input_value() != text:
                field.fill(text)
        self.page.wait_for_timeout(500)
        self.page.get_by_role("button", name="Submit").click()

    def send(self) -> Any:
        """Press the button; return the flow run that comes of it."""
        from prefect.client.orchestration import SyncPrefectClient
        from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId

        chosen = DeploymentFilter(id=DeploymentFilterId(any_=[self.deployment]))
        deadline, pressed = time.monotonic() + 120, 0.0
        with SyncPrefectClient(f"{self.prefect}/api") as client:
            known = {run.id for run in client.read_flow_runs(deployment_filter=chosen)}
            while not (runs := [run for run in client.read_flow_runs(deployment_filter=chosen) if run.id not in known]):
                assert time.monotonic() < deadline, self.page.inner_text("body")
                if time.monotonic() - pressed > 30:
                    pressed = time.monotonic()
                    self.press()
                time.sleep(0.2)
        self.page.close()
        return runs[0]
