"""`meshproxy demo`: starts everything, shows the tour, and stays up until it is interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from meshproxy.cli.demo.proxy import DemoError, Proxy
from meshproxy.cli.demo.tour import STOPS, Stop
from meshproxy.cli.demo.upstreams import VERSIONS, Upstreams
from meshproxy.cli.options import Parser, color

_ACCESS_LOG = (
    "  %START_TIME(%H:%M:%S)%  %RESPONSE_CODE% %RESPONSE_FLAGS%  %REQ(:METHOD)% %REQ(:AUTHORITY)%%REQ(:PATH)%"
    "  %UPSTREAM_CLUSTER%  %DURATION% ms"
)
_STYLES = {"bold": "1", "dim": "2", "green": "32", "red": "31", "cyan": "36"}


class Page:
    """What is printed, coloured only where a terminal shows it."""

    def __init__(self) -> None:
        self._color = color(sys.stdout)

    def style(self, name: str, text: str) -> str:
        return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if self._color else text

    def line(self, text: str = "") -> None:
        print(text, flush=True)

    def fact(self, name: str, value: str, note: str = "") -> None:
        self.line(f"  {self.style('dim', f'{name:<15}')}{value}  {self.style('dim', note)}".rstrip())


def main(argv: Sequence[str]) -> int:
    parser = Parser(
        "demo",
        "The product tour: Bookinfo's services, the proxy in front of them, and requests to try.",
        "  meshproxy demo          show the tour and stay up\n  meshproxy demo --once   check it and end",
    )
    parser.add_argument("--once", action="store_true", help="end after the tour: 0 if every answer was as expected")
    args = parser.parse_args(argv)
    try:
        return asyncio.run(_until_interrupted(once=args.once))
    except DemoError as error:
        print(f"meshproxy demo: {error}", file=sys.stderr)
        return 1


async def _until_interrupted(*, once: bool) -> int:
    """The demo's exit code; an interruption is a fine end of one that stays up."""
    demo = asyncio.ensure_future(_demo(once=once))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, demo.cancel)
    try:
        return await demo
    except asyncio.CancelledError:
        return 130 if once else 0


async def _demo(*, once: bool) -> int:
    page = Page()
    page.line(f"\n{page.style('bold', 'meshproxy demo')}: Bookinfo's services, and routing by Istio YAML\n")
    async with contextlib.AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="meshproxy-demo-")))
        config = _packaged_config(directory)
        upstreams = await stack.enter_async_context(Upstreams())
        log = ["--access-log", "off"] if once else ["--access-log", "-", "--access-log-format", _ACCESS_LOG]
        arguments = [*_maps(upstreams), *log, "--drain-time", "1s"]
        # the tour tells of its own requests
        proxy = await stack.enter_async_context(Proxy(config, arguments, unseen=sum(stop.count for stop in STOPS)))
        _introduce(page, proxy, config)
        passed = await asyncio.to_thread(_walk, page, proxy.port)
        if once or not passed:
            return 0 if passed else 1
        page.line(f"  All of this stays up: try the lines above, edit {config}/reviews.yaml and try again.")
        page.line(f"  {page.style('bold', 'Ctrl-C')} ends it. Requests as they come:\n")
        print(f"meshproxy demo: the proxy ended with exit code {await proxy.ended()}", file=sys.stderr)
    return 1


def _packaged_config(directory: Path) -> Path:
    """A copy of the packaged configuration, for the visitor to edit."""
    return shutil.copytree(Path(__file__).with_name("bookinfo"), directory / "bookinfo")


def _maps(upstreams: Upstreams) -> list[str]:
    """`--map` arguments: a service of several versions has a subset for each."""
    arguments = []
    for (service, version), port in upstreams.ports.items():
        name = f"{service}:{version}" if len(VERSIONS[service]) > 1 else service
        arguments += ["--map", f"{name}=127.0.0.1:{port}"]
    return arguments


def _introduce(page: Page, proxy: Proxy, config: Path) -> None:
    services = " · ".join(f"{service} {' '.join(versions)}" for service, versions in VERSIONS.items())
    page.fact("services", services)
    page.fact("configuration", str(config))
    page.fact("proxy", f"http://127.0.0.1:{proxy.port}", "routes by the Host header")
    page.fact("admin", f"http://127.0.0.1:{proxy.admin_port}", "/clusters  /config_dump  /stats/prometheus")
    page.line()


def _walk(page: Page, port: int) -> bool:
    """Every stop of the tour, shown and checked."""
    passed = [_show(page, number, stop, port) for number, stop in enumerate(STOPS, 1)]
    return all(passed)


def _show(page: Page, number: int, stop: Stop, port: int) -> bool:
    page.line(f"{page.style('bold', f'{number}  {stop.title}')}")
    page.line(f"  {page.style('cyan', '$')} {stop.command(port)}")
    page.line(f"  {page.style('dim', stop.expect)}")
    passed, seen = stop.visit(port)
    page.line(f"  {page.style('green', '✓') if passed else page.style('red', '✗')} {seen}\n")
    return passed
