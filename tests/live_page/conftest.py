"""One SpotOn and one Chromium for all tests of the page."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.blob_world import environment_toml, make_blob_world
from tests.live_page.browsing import (
    CHROMIUM,
    OPTIONS,
    PASSWORD,
    NumberedRoom,
    Watcher,
    write_numbered_room,
)
from tests.stack import Stack, data_folder, running_stack
from tests.triton_fixtures import require_triton
from tests.waiting import PATIENCE_S

LAPTOP = {"width": 1280, "height": 720}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings with the red and the blue figure, and a room of numbered frames."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no {CHROMIUM} on this machine: apt-get install chromium")
    require_triton()
    made = make_blob_world(tmp_path_factory.mktemp("page"))
    write_numbered_room(made, NumberedRoom())
    assert "capacity = 1" in environment_toml()  # what the test of alerts counts on
    return made.settings() | {"SPOTON_ADMIN_PASSWORD": PASSWORD}


@pytest.fixture(scope="session")
def stack(world: dict[str, str]) -> Iterator[Stack]:
    with data_folder() as folder, running_stack(world, folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(world: dict[str, str]) -> Iterator[Browser]:  # the world skips
    """Ends with its module: while it runs, no other test can call ``asyncio.run``."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A fresh visitor's window; whatever the browser complains about fails the test."""
    context = browser.new_context(viewport=LAPTOP, base_url=stack.address)
    context.set_default_timeout(PATIENCE_S * 1000)
    watcher = Watcher(context)
    yield context.new_page()
    context.close()
    assert watcher.complaints == []


@pytest.fixture(scope="session")
def ended_task(stack: Stack) -> str:
    """A task of the numbered room that has been played to its end."""
    task_id = stack.start_task(environment_id="numbers", speed="max")
    assert stack.wait(task_id)["status"] == "COMPLETED"
    return task_id
