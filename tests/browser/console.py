"""The console of a real spoolgate, for the scripts of this folder: its link, and the set-up page's form."""

import json
import os
import subprocess

from lib import SPOOLGATE, clean_environment, scratch_dir, start_process, wait_until


class SetUpConsole:
    """`spoolgate console` where no gateway runs: it serves the set-up page until that has saved. `content`
    is what the configuration holds before."""

    def __init__(self, keys, **env):
        self.env = clean_environment(AWS_ACCESS_KEY_ID=keys[0], AWS_SECRET_ACCESS_KEY=keys[1], **env)

    def __enter__(self):
        self._own = scratch_dir()
        self.directory = self._own.__enter__()
        self.root, self.state = (os.path.join(self.directory, name) for name in ("spool", "state"))
        self.control = os.path.join(self.directory, "control.sock")
        self.path = os.path.join(self.directory, "spoolgate.json")
        os.makedirs(self.root)
        os.makedirs(self.state)
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump({"spool": self.root, "state": self.state, "control": self.control}, file)
        self.start()
        return self

    def start(self):
        self.process = start_process([SPOOLGATE, "console", "--json", "-c", self.path], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                     env={**self.env, "HOME": self.directory}, cwd=self.directory)
        said = json.loads(self.process.stdout.readline())
        self.link, self.mode = said["url"], said["mode"]

    def saved(self):
        """The configuration, once it is there whole."""
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)

    def ended(self, timeout=20):
        """Its exit status, or None."""
        wait_until(lambda: self.process.poll() is not None, timeout)
        return self.process.poll()

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        self.process.stdout.close()
        self._own.__exit__()


def link_of(gateway):
    """A link to the console of a gateway that runs."""
    return gateway.cli_json("console")["url"]


def fill(page, **values):
    """The set-up form; what is folded is unfolded."""
    page.wait_for_selector("#bucket_arn")
    if page.locator("details.fold").get_attribute("open") is None:
        page.locator("details.fold > summary").click()
    for name, value in values.items():
        if isinstance(value, bool):
            page.locator(f"#{name}").set_checked(value)
        else:
            page.locator(f"#{name}").fill(value)
            page.keyboard.press("Tab")


def press(page, name):
    """A button of the set-up page; what it says then: (arrived, everything in the result)."""
    page.get_by_role("button", name=name, exact=True).click()
    page.wait_for_selector(".result .verdict", timeout=60000)
    wait_until(lambda: page.locator(".spinner").count() == 0, 60)
    return (page.locator(".result .verdict.ok").count() > 0,
            " ".join(page.locator(".result .verdict").all_inner_texts()).replace("\n", " "))


def policy(page):
    """Generate it, and what the text field holds."""
    page.get_by_role("button", name="Generate access policy").click()
    page.wait_for_selector("#policy")
    return page.locator("#policy").input_value()
