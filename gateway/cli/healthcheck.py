"""Ask a running gateway whether it is ready. Only the standard library: a container runs this every few seconds."""

import http.client

import click

from .say import complain, print_json

# Docker's and Kubernetes' probes commonly wait 5 s at most; a ready gateway answers within milliseconds.
TIMEOUT_SECONDS = 3.0


@click.command()
@click.option("--admin-port", type=click.IntRange(1, 65535), default=9090, show_default=True, help="The admin port.")
@click.option("--json", "as_json", is_flag=True, help="Print {ready, status, reason} as JSON.")
def healthcheck(*, admin_port: int, as_json: bool) -> int:
    """Ask a running gateway on this machine whether it is ready.

    Exit 0 when it is, 1 when it is not or does not answer.
    """
    status, reason = ask(admin_port)
    if as_json:
        print_json({"ready": reason is None, "status": status, "reason": reason})
    elif reason is None:
        click.echo("ready")
    else:
        complain(f"errgate healthcheck: {reason}")
    return 0 if reason is None else 1


def ask(port: int) -> tuple[int | None, str | None]:
    """Ask `/-/ready`: its status, and why the gateway is not ready (None: it is)."""
    place = f"127.0.0.1:{port}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/-/ready")
        status = connection.getresponse().status
    except TimeoutError:
        return None, f"{place} did not answer within {TIMEOUT_SECONDS:g} s"
    except ConnectionRefusedError:
        return None, f"nothing listens on {place}; is the gateway running, and is this its admin port?"
    except (OSError, http.client.HTTPException) as failed:
        return None, f"{place} did not answer in HTTP ({type(failed).__name__}); is this the admin port?"
    finally:
        connection.close()
    if status == http.client.OK:
        return status, None
    return status, f"{place} is not ready (status {status}): it is starting or draining, or this is not the admin port"
