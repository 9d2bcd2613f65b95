#!/usr/bin/python3
"""The console's pages in a real Chromium, on a gateway made of paper (fakegate.py): what they show, by
mouse and by keyboard, light, dark and narrow; file names that are markup; outages, and the end of a session;
a million waiting files; nothing from another host, nothing on the browser's console, and axe content."""

import json
import os

from browser import (Browser, axe, check, check_equal, focus, go, no_overflow, row, run_tests, shot, theme, timed,
                     wait_text)
from fakegate import BUCKET, FakeGate, HOSTILE, ROLE, policy_of

PAGES = ["overview", "files", "deliveries", "setup"]
browser = gate = page = None  # one for most of the tests


def test_the_token_leaves_the_address_at_once_and_works_once():
    link = gate.link()
    own = browser.page(link, ready=".tile")
    check(link.split("#")[1] not in own.url, "the token is not in the address")
    check_equal(own.evaluate("history.length"), 2, "entries in the history: an empty page and the console")
    second = browser.context(link).new_page()
    browser.allowed = ("status of 403", "status of 401")
    second.goto(link)
    check(wait_text(second, "h1", "This link does not work"), "a link that was used says so")
    check_equal(second.url, f"{gate.origin}/login", "no token in the address either")
    theme(second, "dark")
    axe(second, "the refused log-in")
    shot(second, "login-refused-dark")
    second.goto(gate.origin + "/")
    check(wait_text(second, "h1", "You are logged out"), "without a session the console says so")
    axe(second, "the logged-out page")
    second.context.close()
    own.get_by_role("button", name="Log out").click()
    check(wait_text(own, "h1", "You are logged out"), "logged out")
    own.context.close()
    browser.allowed = ()


def test_every_page_light_dark_and_narrow():
    for name in PAGES:
        go(page, name)
        for scheme in ("light", "dark"):
            theme(page, scheme)
            axe(page, f"{name}, {scheme}")
            shot(page, f"{name}-{scheme}", full=name == "overview")
        page.set_viewport_size({"width": 360, "height": 780})
        no_overflow(page, f"{name} at 360 pixels")
        axe(page, f"{name} at 360 pixels")
        shot(page, f"{name}-360-dark")
        theme(page, "light")
        shot(page, f"{name}-360", full=name == "overview")
        page.set_viewport_size({"width": 2200, "height": 900})
        no_overflow(page, f"{name} at 2200 pixels")
        page.set_viewport_size({"width": 1280, "height": 860})


def test_the_overview_is_live():
    go(page, "overview")
    check(wait_text(page, ".sentence", "on their way"), "the sentence is there")
    check(wait_text(page, ".tile-value", "files/s"), "the rate is there")
    gate.state = "stuck"
    check(wait_text(page, ".sentence", "403 AccessDenied"), "another sentence comes by itself")
    check_equal(page.locator(".badge.state-stuck").text_content(), "Stuck", "its state is told by a word, too")
    check(page.locator(".tile.late").count() == 1, "the age is past the objective")
    shot(page, "overview-stuck", full=True)
    theme(page, "dark")
    axe(page, "the overview of an outage, dark")
    theme(page, "light")
    page.get_by_role("button", name="Last day").click()
    check(wait_text(page, ".chart .hint", "in the last day"), "the last day")
    page.locator(".figures summary").first.click()
    page.wait_for_selector(".figures[open] tbody tr")
    check_equal(page.locator(".figures[open] tbody tr").count(), 96, "figures of the day as a table")
    page.locator(".plot .u-over").first.hover()
    check(wait_text(page, ".legend-at", "UTC"), "the pointer tells the time, in UTC whatever the browser's zone")
    page.get_by_role("button", name="Last hour").click()
    gate.state = "ok"


def test_names_that_are_markup_stay_text():
    title = "Files · spoolgate"
    go(page, "files")
    page.wait_for_function(f"document.title === {json.dumps(title)}")
    for path in HOSTILE:
        rows = page.locator("tr", has=page.get_by_label(f"Choose {path}", exact=True))
        check_equal(rows.count(), 1, f"the row of {path[40:80]}")
        shown = rows.locator("button.link").text_content()
        check_equal(shown, path.replace("\u202e", "U+202E"), "the name as it is, and what turns it round spelt")
        rows.locator("button.link").click()
        wait_text(page, "dialog .sentence", "line 1" if "sentence" and rows.locator(".hint").count() else "turn")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
    go(page, "deliveries")
    page.locator("td.file button").first.click()
    wait_text(page, "dialog h2", "Receipt")
    page.keyboard.press("Escape")
    check_equal(page.evaluate("document.querySelectorAll('main script, main img, main svg[onload], main b').length"),
                0, "elements made by names")
    check(page.title() != "owned", "no script of a name ran")


def test_a_rejected_file_shows_its_fault():
    go(page, "files?state=rejected")
    wait_text(page, ".chip[aria-pressed=true]", "Rejected")
    page.get_by_role("button", name="f-0001.json").click()
    page.wait_for_selector(".lines .bad")
    check_equal(page.locator(".fault-mark").text_content(), '"', "the letter that is marked")
    check(wait_text(page, ".line-fault", "Column 20: expected ',' or '}'"), "the fault in words")
    check_equal(page.locator(".lines script").count(), 0, "lines stay text")
    axe(page, "the first lines of a rejected file")
    shot(page, "file-rejected")
    theme(page, "dark")
    axe(page, "the first lines, dark")
    shot(page, "file-rejected-dark")
    theme(page, "light")
    page.set_viewport_size({"width": 360, "height": 780})
    shot(page, "file-rejected-360")
    no_overflow(page, "a rejected file at 360 pixels")
    page.set_viewport_size({"width": 1280, "height": 860})
    page.locator(".sheet-foot").get_by_role("button", name="Retry").click()
    check(wait_text(page, ".toast", "1 file on its way again"), "what came of it")
    check_equal(gate.acts[-1], ("retry", {"paths": ["Panoptica/findings/2026-11-23/prod/f-0001.json"],
                                          "state": "rejected"}), "retry")


def test_the_fault_of_a_long_line_is_marked():
    path = "Panoptica/findings/2026-11-23/prod/f-0009.json"
    page.reload()
    for column, cut, text, at, mark, shown in (
            (1001, True, "x" * 500 + "!" + "y" * 499, 1501, "!", "… x"),
            (1, False, "日本é🚀\ufffd!", 13, "\ufffd", "日"),
            (1, False, "日本é🚀\ufffd!", 14, "!", "日"),
            (1, False, "日本é🚀\ufffd!", 10, "🚀", "日"),
            (1, False, "{}", 3, "⏎", "{"),
            (1, True, "z" * 1000, 2001, "⏎", "z")):
        gate.heads[path] = {"path": path, "fault": {"line": 1, "column": at, "text": "it is wrong"},
                            "lines": [{"number": 1, "column": column, "cut": cut, "text": text}]}
        go(page, "files?match=f-0009")
        page.get_by_role("button", name="f-0009.json").click()
        page.wait_for_selector(".fault-mark")
        check_equal(page.locator(".fault-mark").text_content(), mark, f"the letter of column {at}")
        check(page.locator(".lines code").text_content().startswith(shown), "where the line begins")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
    del gate.heads[path]


def test_a_rejected_file_is_retried_and_not_its_namesake():
    path = "Panoptica/findings/2026-11-23/prod/f-0009.json"
    namesake = {"path": path, "state": "held", "size": 1, "since": None, "why": "held by hand", "code": "by_hand"}
    other = "Panoptica/findings/2026-11-23/prod/f-0005.json"
    gate.files.append(namesake)
    go(page, "files")
    page.get_by_role("searchbox").fill("f-000")
    wait_text(page, ".pager", "10 files")
    acts = len(gate.acts)
    page.get_by_label(f"Choose {path}").first.check()
    page.get_by_label(f"Choose {other}").check()
    page.locator(".bar").get_by_role("button", name="Hold").click()
    check(wait_text(page, ".toast", "a rejected file can only be retried"), "it is not held, nor its namesake")
    page.wait_for_selector("table.files:not([aria-busy])")
    page.get_by_label(f"Choose {path}").first.check()
    page.get_by_label(f"Choose {other}").check()
    page.locator(".bar").get_by_role("button", name="Retry").click()
    check(wait_text(page, ".toast", "2 files on their way again"), "both were retried")
    check_equal(gate.acts[acts:], [("hold", {"paths": [other]}), ("retry", {"paths": [other]}),
                                   ("retry", {"paths": [path], "state": "rejected"})], "what was asked for")
    check_equal(namesake["state"], "held", "the namesake")
    gate.files.remove(namesake)
    page.get_by_role("searchbox").fill("")


def test_files_are_acted_on_and_forget_asks():
    go(page, "files")
    page.get_by_role("searchbox").fill("f-000")
    wait_text(page, ".pager", "9 files")
    check("match=f-000" in page.url, "the filter is in the address")
    acts = len(gate.acts)
    page.get_by_label("Choose Panoptica/inventory/2026-11-23/prod/f-0004.json").check()
    page.get_by_label("Choose Panoptica/attack-paths/2026-11-23/prod/f-0006.json").check()
    shot(page, "files-chosen")
    page.locator(".bar").get_by_role("button", name="Forget").click()
    page.wait_for_selector("dialog.confirm")
    axe(page, "the question before forgetting")
    shot(page, "confirm")
    check_equal(focus(page), "Cancel", "the question's focus is on the harmless answer")
    page.keyboard.press("Escape")
    check_equal(len(gate.acts), acts, "nothing was done")
    page.locator(".bar").get_by_role("button", name="Forget").click()
    page.locator("dialog").get_by_role("button", name="Forget").click()
    check(wait_text(page, ".toast", "2 files forgotten"), "two were forgotten")
    check_equal(gate.acts[-1][0], "forget", "forget")
    page.wait_for_selector("table.files:not([aria-busy])")
    page.get_by_label("Choose Panoptica/audit/2026-11-23/prod/f-0007.json").check()
    page.locator(".bar").get_by_role("button", name="Hold").click()
    check(wait_text(page, ".toast", "1 file held"), "one is held")
    page.get_by_role("row").filter(has_text="f-0007.json").filter(has_text="Held").wait_for()
    page.wait_for_selector("table.files:not([aria-busy])")
    page.get_by_label("Choose Panoptica/audit/2026-11-23/prod/f-0007.json").check()
    page.locator(".bar").get_by_role("button", name="Release").click()
    check(wait_text(page, ".toast", "1 file released"), "one is released")


def test_receipts_are_found_and_exported():
    go(page, "deliveries")
    wait_text(page, ".pager", "Page 1, 100 receipts")
    page.get_by_role("button", name="Next").click()
    check(wait_text(page, ".pager", "Page 2, 100 receipts"), "the next page")
    page.get_by_role("button", name="Previous").click()
    wait_text(page, ".pager", "Page 1")
    page.get_by_role("searchbox").fill("f-0044")
    check(wait_text(page, ".pager", "10 receipts"), "those that match")
    page.get_by_role("searchbox").fill("")
    wait_text(page, ".pager", "100 receipts")
    page.locator("#until").fill("yesterday")
    check(wait_text(page, "#until-fault", "YYYY-MM-DD"), "what is no time is said so")
    page.locator("#until").fill("2001-02-03 04:05")
    check(wait_text(page, ".pager", "0 receipts"), "none is so old")
    page.locator("#until").fill("")
    wait_text(page, ".pager", "100 receipts")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export as NDJSON").click()
    with open(waiting.value.path(), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    check_equal(lines, gate.receipts, "the export")
    check(waiting.value.suggested_filename.endswith(".ndjson"), "its name")
    check_equal(page.locator(".toast", has_text="may not be whole").count(), 0, "toasts about a whole export")
    gate.damaged_at = 50
    page.get_by_role("button", name="Refresh").click()
    check(wait_text(page, "main .fault", "journal cannot be read"), "a damaged journal is told with the list")
    with page.expect_download():
        page.get_by_role("button", name="Export as NDJSON").click()
    check(wait_text(page, ".toast.bad", "may not be whole"), "and with the export")
    gate.damaged_at = None
    page.get_by_role("button", name="Refresh").click()
    page.wait_for_selector("main section .fault", state="detached")
    page.locator("td.file button").nth(4).click()
    wait_text(page, "dialog dd", gate.receipts[4]["sha256"])
    axe(page, "a receipt")
    shot(page, "receipt")
    page.keyboard.press("Escape")


def test_next_pressed_twice_turns_one_page():
    gate.waiting = 1000
    gate.delay = 0.4
    for name, ready, what in (("files", "table.files:not([aria-busy])", "files"),
                              ("deliveries", "table.receipts:not([aria-busy])", "receipts")):
        go(page, name)
        wait_text(page, ".pager", f"Page 1, 100 {what}")
        button = "[...document.querySelectorAll('.pager button')].find(b => b.textContent === %r)"
        page.evaluate(f"{{ const b = {button % 'Next'}; b.click(); b.click(); }}")
        page.wait_for_selector(ready)
        check_equal(page.locator(".pager .num").text_content(), f"Page 2, 100 {what}", "after Next, twice")
        page.evaluate(f"{{ const b = {button % 'Previous'}; b.click(); b.click(); }}")
        page.wait_for_selector(ready)
        check_equal(page.locator(".pager .num").text_content(), f"Page 1, 100 {what}", "after Previous, twice")
    gate.delay = 0.0
    gate.waiting = 0


def test_set_up_from_nothing_to_saved():
    own_gate = FakeGate("setup")
    browser.allowed = ("status of 409", "status of 400")
    own = browser.page(own_gate.link(), ready="#bucket_arn")
    check_equal(own.locator("nav a").all_text_contents(), ["Set up"], "only the one page")
    axe(own, "an empty set-up")
    shot(own, "setup-empty")
    own.get_by_role("button", name="Generate access policy").click()
    check(wait_text(own, ".fault", "Enter the bucket's ARN."), "what is missing is said at its field")
    # By the keyboard alone.
    own.locator("#account_name").focus()
    own.keyboard.type("prod")
    check_equal(own.locator("#account_name-list [role=option]").all_text_contents(), ["prod", "production-eu"],
                "typing narrows the list")
    own.keyboard.press("ArrowDown")
    own.keyboard.press("ArrowDown")
    check_equal(own.locator("#account_name").get_attribute("aria-activedescendant"), "account_name-option-1",
                "the active option")
    shot(own, "setup-combobox")
    axe(own, "an open combobox")
    own.keyboard.press("ArrowUp")
    own.keyboard.press("Enter")
    check_equal(own.locator("#account_name").input_value(), "prod", "chosen by Enter")
    own.keyboard.press("Tab")
    own.keyboard.type("siem")
    own.keyboard.press("Escape")
    check_equal(own.locator("#bucket_arn").get_attribute("aria-expanded"), "false", "Escape closes the list")
    own.locator("#bucket_arn").fill("")
    own.keyboard.type("customer-s")
    own.keyboard.press("ArrowDown")
    own.keyboard.press("Enter")
    check_equal(own.locator("#bucket_arn").input_value(), BUCKET, "the bucket")
    own.keyboard.press("Tab")
    check_equal(focus(own), "Role and advanced settings", "after the bucket")
    own.keyboard.press("Tab")
    check_equal(focus(own), "Generate access policy", "folded fields are passed over")
    own.keyboard.press("Enter")
    check(wait_text(own, ".fault", "Name the role that writes"), "the role is asked for where it is entered")
    check_equal(own.locator("details.fold").get_attribute("open"), "", "its fold was opened")
    check_equal(own.evaluate("document.activeElement.id"), "role_arn", "the focus is there")
    own.keyboard.type(ROLE)
    check_equal(own.locator("#region").input_value(), "eu-central-1", "the region came with the bucket")
    own.get_by_role("button", name="Generate access policy").press("Enter")
    own.wait_for_selector("#policy")
    check_equal(own.locator("#policy").input_value(), policy_of(ROLE, BUCKET), "the policy to the byte")
    check(own.locator("#policy").get_attribute("readonly") is not None, "it is read-only")
    check_equal(own.locator(".steps li").count(), 4, "steps")
    link = own.locator(".bucket-page a")
    check_equal(link.get_attribute("href"), "https://s3.console.aws.amazon.com/s3/buckets/customer-siem?tab=permissions",
                "the bucket's page")
    check(link.bounding_box()["y"] < own.locator("#policy").bounding_box()["y"], "it is above the policy")
    own.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=own_gate.origin)
    own.get_by_role("button", name="Copy").click()
    check(wait_text(own, ".policy-field button", "Copied"), "Copy says so")
    check_equal(own.evaluate("navigator.clipboard.readText()"), policy_of(ROLE, BUCKET), "the clipboard")
    shot(own, "setup-policy", full=True)
    axe(own, "the policy")
    theme(own, "dark")
    axe(own, "the policy, dark")
    own_gate.test_answer = {"ok": False, "sentence": "The test message did not arrive.", "code": "AccessDenied",
                            "cause": "The bucket's policy does not allow s3:PutObject with this ACL.",
                            "remedy": "Have the bucket's owner paste the policy above.", "took_ms": 512}
    own.get_by_role("button", name="Test message").click()
    check(wait_text(own, ".verdict.bad", "did not arrive"), "a test that fails")
    check(wait_text(own, ".verdict.bad dd", "paste the policy above"), "its remedy")
    axe(own, "a failed test, dark")
    shot(own, "setup-failed-dark", full=True)
    own.get_by_role("button", name="Save", exact=True).click()
    check(wait_text(own, ".result", "Nothing was saved."), "a save that fails")
    check(own.get_by_role("button", name="Save anyway").count() == 1, "it can be saved anyway")
    theme(own, "light")
    own_gate.save_fault = ("This installation delivers to s3://other already, and one installation has one bucket: "
                           "run a second instance for a second bucket.")
    own.get_by_role("button", name="Save", exact=True).click()
    check(wait_text(own, ".verdict.bad", "one installation has one bucket"), "a second bucket is refused")
    shot(own, "setup-second-bucket", full=True)
    own_gate.save_fault = None
    own_gate.test_answer = {"ok": True, "sentence": "The test message arrived: s3://customer-siem/x", "took_ms": 90}
    own.get_by_role("button", name="Save", exact=True).press("Enter")
    check(wait_text(own, ".verdict.ok", "Saved in /etc/spoolgate/spoolgate.json."), "saved")
    check_equal(own_gate.saved, {"account_name": "prod", "bucket_arn": BUCKET, "role_arn": ROLE,
                                 "region": "eu-central-1"}, "what was saved")
    axe(own, "a saved set-up")
    shot(own, "setup-saved", full=True)
    own.set_viewport_size({"width": 360, "height": 780})
    no_overflow(own, "the whole set-up at 360 pixels")
    shot(own, "setup-360-whole", full=True)
    own_gate.stop()
    own.wait_for_timeout(300)
    check_equal(own.locator("#banner").text_content(), "", "a set-up page whose server has ended is content")
    own.context.close()
    browser.allowed = ()


def test_the_keyboard_reaches_everything():
    go(page, "files")
    page.reload()
    page.wait_for_selector("table.files:not([aria-busy])")
    seen = []
    for _ in range(26):
        page.keyboard.press("Tab")
        seen.append(focus(page))
    for name in ("Skip to the contents", "Overview", "Set up", "Theme: as the system", "Log out", "Search by path",
                 "Refresh", "Rejected", "Choose all on this page"):
        check(any(word.startswith(name) for word in seen), f"Tab reaches {name}: {seen}")
    page.reload()
    page.wait_for_selector("table.files:not([aria-busy])")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    check_equal(page.evaluate("document.activeElement.id"), "main", "the skip link leads to the contents")
    page.locator("td.file button").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open] .badge")
    for _ in range(12):
        page.keyboard.press("Tab")
        check(page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')"),
              "the focus stays in the sheet")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    check_equal(page.evaluate("document.activeElement.className"), "link", "the focus is back on the file")
    button = page.get_by_role("button", name="Theme:")
    for word in ("light", "dark", "as the system"):
        button.press("Enter")
        check_equal(button.get_attribute("aria-label"), f"Theme: {word}", "the theme")
    outline = page.evaluate("""() => { const b = document.querySelector(".filters > button"); b.focus();
        return getComputedStyle(b).outlineStyle; }""")
    check(outline != "", "focus rings")


def test_a_million_waiting_files_stay_smooth():
    gate.waiting = 1_000_000
    go(page, "overview")
    go(page, "files")
    wait_text(page, ".chip-count", "1,000,0")
    times = []
    for number in range(6):
        def turn(n=number):
            page.get_by_role("button", name="Next").click()
            wait_text(page, ".pager", f"Page {n + 2}, 100 files")
        times.append(timed(turn))
    check(sorted(times)[3] < 1.5, f"a page turns at once: {[round(t, 2) for t in times]}")
    elements = page.evaluate("document.querySelectorAll('*').length")
    check(elements < 3000, f"{elements} elements, whatever waits")
    longest = page.evaluate("""async () => {
        let longest = 0, before = performance.now();
        for (const end = before + 1000; before < end;) {
            await new Promise(requestAnimationFrame);
            const now = performance.now();
            longest = Math.max(longest, now - before);
            before = now;
            scrollBy(0, 40);
        }
        return longest; }""")
    row("a million waiting files", f"a page in {sorted(times)[3] * 1000:.0f} ms, {elements} elements, longest frame "
        f"{longest:.0f} ms while scrolling")
    acts = len(gate.acts)
    gate.waiting = 1500
    page.get_by_role("searchbox").fill("findings")
    wait_text(page, ".pager", "Page 1, 100 files")
    page.get_by_label("Choose all on this page").check()
    page.get_by_role("button", name="Choose all that match, on every page").click()
    check(wait_text(page, ".bar-text", "Every file that matches is chosen"), "all pages are chosen")
    page.locator(".bar").get_by_role("button", name="Retry").click()
    page.locator("dialog").get_by_role("button", name="Retry").click()
    check(wait_text(page, ".toast", "on their way again"), "they were found")
    check_equal([(verb, body["match"]) for verb, body in gate.acts[acts:]], [("retry", "*findings*")],
                "one request a page of a thousand")
    gate.waiting = 1_000_000
    page.get_by_role("searchbox").fill("nothing-is-called-so")
    check(wait_text(page, "main", "there is more to look through"), "a search is answered before it is through")
    gate.waiting = 0


def test_the_gateway_goes_and_comes_back():
    go(page, "overview")
    wait_text(page, ".sentence", "way")
    gate.stop()
    page.wait_for_selector(".gone")
    check(wait_text(page, ".gone", "The gateway does not answer"), "the banner")
    axe(page, "an overview without its gateway")
    shot(page, "gone")
    gate.restart()
    page.wait_for_selector(".gone", state="detached")
    check(wait_text(page, ".sentence", "way"), "it goes on by itself")
    browser.allowed = ("status of 401", "status of 503", "MIME type")
    gate.full, streams = True, gate.streams
    gate.stop()
    page.wait_for_selector(".gone")
    gate.restart()
    page.wait_for_timeout(2500)
    check(gate.streams - streams <= 4, f"{gate.streams - streams} times in 2.5 s it asked for a stream that was refused")
    gate.full = False
    page.get_by_role("button", name="Ask now").click()
    page.wait_for_selector(".gone", state="detached")
    streams = gate.streams
    gate.sessions.clear()
    check(wait_text(page, "h1", "You are logged out"), "a session that has ended")
    axe(page, "the end of a session")
    shot(page, "session-ended")
    check(gate.streams <= streams + 1, "no stream is asked for again and again")
    browser.allowed = ()


def test_a_hidden_tab_keeps_its_session_after_an_outage():
    own = browser.context(gate.link()).new_page()
    own.add_init_script("""{ const real = setInterval;
        window.setInterval = (work, ms) => real(work, ms >= 300000 ? 200 : ms); }""")
    own.goto(gate.link())
    own.wait_for_selector(".tile")
    gate.stop()
    own.wait_for_selector(".gone")
    own.evaluate("""() => { Object.defineProperty(document, "visibilityState", { value: "hidden" });
        document.dispatchEvent(new Event("visibilitychange")); }""")
    gate.restart()
    own.wait_for_selector(".gone", state="detached")
    with own.expect_request("**/session"):
        pass
    with own.expect_request("**/session"):
        pass
    own.context.close()


def main():
    global browser, gate, page
    gate = FakeGate()
    gate.add_examples()
    tests = [test for name, test in globals().items() if name.startswith("test_")]

    def all_of_them():
        global browser, page
        with Browser() as browser:
            page = browser.page(gate.link(), ready=".tile")
            for test in tests:
                yield test

    run_tests(all_of_them())


if __name__ == "__main__":
    main()
