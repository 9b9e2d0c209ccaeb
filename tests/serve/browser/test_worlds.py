"""The gallery of worlds: renamed, duplicated, deleted with undo, and the history as pictures."""

from tests.serve.browser.conftest import Open
from tests.serve.browser.visit import Visit


def names(page: Visit) -> list[str]:
    return page.page.locator("#worlds .row > span:not(.world-picture)").all_inner_texts()


def test_a_world_is_renamed_duplicated_and_deleted_with_undo(visit: Open) -> None:
    page = visit("seed=991")
    page.panel("worlds")
    page.page.click("[aria-label='Rename World 991']")
    page.page.keyboard.type("Blue hills")
    page.page.keyboard.press("Enter")
    page.page.click("[aria-label='Duplicate Blue hills']")
    remove = page.page.locator("[aria-label='Delete Blue hills copy']")
    remove.wait_for()
    assert page.page.inner_text("#world-title") == "Blue hills"
    remove.click()
    remove.wait_for(state="detached")
    assert "Blue hills copy" not in names(page)
    page.page.click(".toast-action")
    remove.wait_for()
    assert "Blue hills copy" in names(page)


def test_a_picture_of_the_history_restores_its_state(visit: Open) -> None:
    page = visit()
    first = page.record["revision"]
    page.panel("styles")
    page.page.click(".swatch[data-seed='4']")
    page.settle()
    second = page.record["revision"]
    page.panel("worlds")
    page.page.click("#history [aria-label='1 change earlier']")
    page.page.wait_for_selector("#history [aria-label='1 change later'] canvas")
    assert page.record["revision"] == first
    page.page.click("#history [aria-label='1 change later']")
    page.page.wait_for_selector("#history [aria-label='1 change earlier'] canvas")
    assert page.record["revision"] == second
