"""page.py: the page of a new server in headless Chromium, for the tests of this folder. Screenshots go to build/browser for people to look at."""
import contextlib
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from harness import *  # noqa: E402,F403

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    webdriver = None

DESK, PHONE = (1280, 900), (390, 844)
SHOTS = os.path.join(os.environ.get("ANTINOMY_BUILD", os.path.join(ROOT, "build")), "browser")


def browser(folder, width, height):
    if webdriver is None or not shutil.which("chromium") or not shutil.which("chromedriver"):
        raise Skip("chromium, chromium-driver or python3-selenium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
                     "--user-data-dir=" + os.path.join(folder, "chromium-%d" % width), "--window-size=%d,%d" % (width, height)):
        options.add_argument(argument)
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    # a phone's width is less than the smallest window
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
    return driver


class Page:
    def __init__(self, driver, server):
        self.d, self.server = driver, server
        driver.get("http://127.0.0.1:%d/" % server.port)

    def one(self, css):
        return until(lambda: next((e for e in self.d.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()), None), "to see " + css)

    def all(self, css):
        return self.d.find_elements(By.CSS_SELECTOR, css)

    def shot(self, name):
        os.makedirs(SHOTS, exist_ok=True)
        self.d.save_screenshot(os.path.join(SHOTS, name + ".png"))

    def fits(self, what):
        wide, have = self.d.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
        check(wide <= have, "%s scrolls sideways: %d > %d" % (what, wide, have))

    def new_set(self, name):
        self.one("#new-set").send_keys(Keys.ENTER)
        self.one("#set-name").send_keys(name, Keys.ENTER)
        until(lambda: self.script("return document.querySelector('#set').selectedOptions[0].textContent") == name, "the new set")

    def upload(self, *paths):
        self.d.find_element(By.ID, "files").send_keys("\n".join(paths))

    def script(self, code, *args):
        return self.d.execute_script(code, *args)

    def in_view(self, css):
        """Whether the first such thing lies whole in the viewer's visible part."""
        return self.script("""const r = document.querySelector(arguments[0]).getBoundingClientRect(), b = document.querySelector('#viewer-body').getBoundingClientRect();
                              return r.top >= b.top - 2 && r.bottom <= b.bottom + 2 && r.left >= b.left - 2 && r.right <= b.right + 2""", css)


def errors_of(driver):
    return [e for e in driver.get_log("browser") if e["level"] == "SEVERE" and "favicon" not in e["message"]]


@contextlib.contextmanager
def opened(folder, width, height, model=False):
    """The page in a window of that size. What fails leaves a picture and the words of the page; errors in the console are failures."""
    server = Server(os.path.join(folder, "data"), model=model)
    driver = browser(folder, width, height)
    try:
        page = Page(driver, server)
        try:
            yield page
        except Exception:
            try:
                page.shot("failed-%s-%d" % (os.path.basename(sys.argv[0])[:-len(".py")], width))
                print("   the page said: " + page.script("return document.body.innerText").replace("\n", " | ")[:1500])
            except Exception:  # noqa: BLE001 (the first failure is the one to show)
                pass
            raise
        equal(errors_of(driver), [], "errors in the browser's console")
    finally:
        driver.quit()
    server.stop()
