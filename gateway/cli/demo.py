"""Four simulated vendors and the gateway over them, to be tried in a minute: no keys, no files."""

import json
import shlex

import click

from gateway import log
from gateway.app import create_app
from gateway.sandbox import BASE_PATHS, CREDENTIALS, EXAMPLES, Example, create_sandbox
from gateway.server import bind, run_demo
from gateway.settings import loads

from .say import paragraph, progress, width
from .serve import CTRL_C, PORT, url

LOOPBACK = "127.0.0.1"


@click.command()
@click.option("--port", type=PORT, metavar="P", default=8080, show_default=True, help="0 takes a free one.")
@click.option("--admin-port", type=PORT, metavar="P", default=9090, show_default=True, help="0 takes a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print {traffic, admin, examples} as one line of JSON.")
def demo(*, port: int, admin_port: int, as_json: bool) -> None:
    """Run four simulated vendors and the gateway over them, on loopback, until Ctrl-C.

    Needs no keys and no files. Prints lines to paste into another terminal, one error of each vendor among them.
    """
    progress("Starting the gateway and the simulated vendors ...")
    with (
        bind(LOOPBACK, port) as front,
        bind(LOOPBACK, admin_port, option="--admin-port") as back,
        bind(LOOPBACK, 0) as behind,
    ):
        settings = loads(describe(front.getsockname()[1], back.getsockname()[1], url(behind)), name="demo", environ={})
        log.configure(settings.log.level)
        traffic, admin = url(front), url(back)
        examples = {name: curl(traffic, name, example) for name, example in EXAMPLES.items()}
        if as_json:
            lines = [json.dumps({"traffic": traffic, "admin": admin, "examples": examples})]
        else:
            columns = width()
            told = (line for sentence in lesson(traffic, admin) for line in paragraph(sentence, columns))
            lines = [*told, "", *examples.values()]
        run_demo(
            create_app(settings), create_sandbox(), (front, back, behind), ready=lambda: click.echo("\n".join(lines))
        )


def describe(port: int, admin_port: int, sandbox: str) -> str:
    """The settings of the demo, as a file would say it (JSON is YAML)."""
    vendors = {
        name: {
            "base_url": sandbox + BASE_PATHS[name],
            "credential": {"header": CREDENTIALS[name][0], "value": CREDENTIALS[name][1]},
            # Contract 2: nobody who tries a 429 waits longer for the next request.
            "hold": {"max": "10s", "max_quota": "10s"},
        }
        for name in EXAMPLES
    }
    # No load balancer looks whether the demo is still ready, and nobody waits for what hangs after a Ctrl-C.
    server = {"port": port, "admin": {"port": admin_port}, "shutdown": {"lameduck": "0s", "grace": "1s"}}
    # A person reads the answers in the other terminal; here only what went wrong.
    quiet = {"level": "warning", "requests": False}
    return json.dumps({"server": server, "vendors": vendors, "log": quiet})


def lesson(traffic: str, admin: str) -> list[str]:
    """What runs and what to make of it, in five lines."""
    return [
        f"The gateway runs, and behind it {len(EXAMPLES)} simulated vendors: {', '.join(EXAMPLES)}. {CTRL_C}",
        f"Send to {traffic}/VENDOR/PATH what you would send to the vendor; a success comes back byte for byte.",
        f"Whatever fails is one envelope: branch on `code` ({traffic}/-/problems), obey `retryable`, `retry_after`.",
        "The header `Sandbox-Error: CODE` makes a simulated vendor fail; `errgate codes` lists the codes.",
        f"{admin}/ shows it live, {admin}/metrics counts it. Paste these into another terminal:",
    ]


def curl(traffic: str, vendor: str, example: Example) -> str:
    """A request as one line for a shell."""
    words = ["curl", "-s", "-w", "\\n", "-X", example.method, f"{traffic}/{vendor}{example.path}"]
    for name, value in example.headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join(words if example.body is None else [*words, "-d", example.body])
