"""A real Prometheus over a real gateway, with the chart's own rules and time that runs faster for them."""

import json
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml

from tests.e2e.harness.client import RawClient, request
from tests.e2e.harness.gateway import Asking, free_port
from tests.e2e.harness.tools import tool
from tests.e2e.harness.wire import Cut

# How much faster the rules' time runs than the clock: an hour is two minutes, five minutes are ten seconds.
FASTER = 30
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
DURATION = r"(\d+)(ms|s|m|h|d|w)"

Ask = tuple[str, str, Mapping[str, str], bytes | None]


def hasten(groups: Iterable[Mapping[str, Any]], factor: int = FASTER) -> list[dict[str, Any]]:
    """
    The same rules in faster time, so that a test sees in seconds what takes minutes and hours.

    Every range and offset, every `for` and the look-ahead of `predict_linear` is divided by `factor`. Nothing else is
    touched: expressions, thresholds, least numbers of requests, labels and words are the chart's own.
    """

    def shorter(found: re.Match[str]) -> str:
        return f"{max(round(int(found[1]) * SECONDS[found[2]] / factor * 1000), 0)}ms"

    def expression(text: str) -> str:
        text = re.sub(rf"(?<=\[){DURATION}(?=[\]:])", shorter, text)
        text = re.sub(rf"(?<=offset ){DURATION}", shorter, text)
        return re.sub(r"\b86400\b", str(86400 // factor), text)

    faster: list[dict[str, Any]] = []
    for group in groups:
        rules = []
        for rule in group["rules"]:
            changed = {**rule, "expr": expression(rule["expr"])}
            if "for" in rule:
                changed["for"] = re.sub(DURATION, shorter, rule["for"])
            rules.append(changed)
        faster.append({**group, "rules": rules})
    return faster


class Prometheus:
    """Debian's Prometheus over one gateway, scraping and evaluating every second."""

    def __init__(self, gateway: Asking, groups: Iterable[Mapping[str, Any]], folder: Path) -> None:
        self.path = tool("prometheus", "prometheus")
        self.port = free_port()
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        (folder / "rules.yml").write_text(yaml.safe_dump({"groups": list(groups)}))
        target = f"{gateway.admin[0]}:{gateway.admin[1]}"
        (folder / "prometheus.yml").write_text(
            yaml.safe_dump(
                {
                    "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                    "rule_files": ["rules.yml"],
                    "scrape_configs": [
                        {
                            "job_name": "errgate",
                            "static_configs": [{"targets": [target], "labels": {"namespace": "gateways"}}],
                        }
                    ],
                }
            )
        )

    def __enter__(self) -> Self:
        with (self.folder / "prometheus.log").open("wb") as output:
            self.process = subprocess.Popen(
                [
                    self.path,
                    f"--config.file={self.folder}/prometheus.yml",
                    f"--storage.tsdb.path={self.folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  (JSON)
        """What the API answers; None while it does not."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with self.opener.open(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            # A query that it does not understand is a fault of the test's subject.
            if error.code in {400, 422}:
                raise AssertionError(error.read().decode()) from None
            return None
        except OSError:
            return None

    def query(self, expression: str) -> list[float]:
        """The values that an instant query gives, those that are no number left out."""
        found = self.ask("query", query=expression)
        values = [float(one["value"][1]) for one in found["result"]] if found else []
        return [value for value in values if value == value]  # noqa: PLR0124  (NaN is not itself)

    def alerts(self, *states: str) -> dict[tuple[str, str], dict[str, Any]]:
        """The alerts in these states, by name and vendor."""
        found = self.ask("alerts")
        return {
            (alert["labels"]["alertname"], alert["labels"].get("vendor", "")): alert
            for alert in (found["alerts"] if found else [])
            if alert["state"] in states
        }

    def logs(self) -> str:
        """The end of what it has written."""
        return (self.folder / "prometheus.log").read_text(errors="replace")[-3000:]


class Traffic:
    """Requests at a steady pace in a thread of its own, on one connection; what is sent can change while it runs."""

    def __init__(self, gateway: Asking, each_second: float, wishes: Callable[[int], Ask | None]) -> None:
        self.gateway = gateway
        self.pause = 1 / each_second
        self.wishes = wishes
        self.answered = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join(30)

    def _run(self) -> None:
        client: RawClient | None = None
        due, number = time.monotonic(), 0
        while not self.over.wait(max(0.0, due - time.monotonic())):
            # A machine that falls behind is not made to catch up.
            due, number = max(due + self.pause, time.monotonic() - 1), number + 1
            wish = self.wishes(number)
            if wish is None:
                continue
            method, target, headers, body = wish
            try:
                client = client or self.gateway.connect()
                client.send(request(method, target, headers.items(), body))
                answer = client.read(method)
            except (Cut, OSError):
                client = None
                continue
            self.answered += 1
            if answer.header("connection") == "close":
                client.close()
                client = None
        if client is not None:
            client.close()
