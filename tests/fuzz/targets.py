"""
The fuzz targets: a function that takes any bytes and raises where a promise is broken, and the words of its language.

Hypothesis and atheris call the same functions; `seeds/<name>/` holds where both begin.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from normalizers import VENDORS
from tests.fuzz import answered, asked, configured, spoken

SEEDS = Path(__file__).parent / "seeds"

_HEAD = (
    b"content-length: ", b"transfer-encoding: chunked", b"connection: ", b"host: a", b"upgrade: h2c",
    b"via: 1.1 errgate",
    b"x_api_key: ", b"x.api.key: ", b"cookie: ", b"accept-encoding: ", b"\\n", b"\\r", b"\\0", b", ", b";q=0", b"\n",
    b"passthrough", b"bearer", b"cookies", b"trace", b"address", b"1.0", b"x-forwarded-for: ", b"max-forwards: 1",
)  # fmt: skip
_JSON = (
    b'"code":', b'"error":{', b'"message":', b'"detail":', b'"details":[', b'"error_code":', b'"failCode":',
    b'"data":{',
    b'"status":"failed"', b'"state":"fail"', b'"errors":[', b'"field":', b'"loc":["body",', b'"retry_after":',
    b'"ads":[',
    b'"problems":1,', b'"errgate_problems":1,', b"\\ud800", b"\\u0000", b"1e999", b"NaN", b"null", b"true", b"[", b"]",
    b"{", b"}", b'"', b",", b":", b"pk_live_0123456789abcdef", b"Bearer ", b"\xef\xbb\xbf", b"\xff", b"\n\n", b" ",
    b"retry-after: 0", b"date: Sat, 21 Nov 2026 12:00:00 GMT", b"9" * 20,
)  # fmt: skip
_CODES = tuple(row.code.encode() for vendor in VENDORS.values() for row in vendor.rows[:6])
_YAML = (
    b"vendors: {pixii: {base_url: https://api.pixii.ai}}\n", b"vendors:\n  a:\n    base_url: ", b"${SECRET}", b"${ODD}",
    b"${URL}", b"${EMPTY}", b"${file:secret}", b"${file:odd}", b"${file:empty}", b"${", b"$${", b"credential: ",
    b"header: ",
    b"value: ", b"normalizer: ", b"extends: pixii", b"codes: {A: conflict}", b"patterns: {",
    b"routes: [{name: a, path: /a}]",
    b"limits: [{requests: 1, per: day}]", b"callers: ", b"key_sha256: ", b"hosts: [", b"proxy: ", b"tls: {ca: ", b"&a ",
    b"*a", b"!!int ", b"!!binary ", b"<<: ", b"? ", b"- ", b"|\n ", b"%YAML 1.1\n", b"'", b'"', b"\\x00", b"5s",
    b"1MiB",
    b"admin: {token: ", b"server: ", b"limit_store: {url: redis://", b"timeouts: {total: ",
    b"job: {failed: {at: /a, equals: ",
    b"errors_in_success: [{route: submit, at: /a, equals: 1}]", b"\n", b"  ", b": ", b"{", b"}", b"[", b"]", b",",
    b"\t",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """One promise to try; `words` are worth putting into an input."""

    check: Callable[[bytes], None]
    words: tuple[bytes, ...]
    longest: int = 4096

    @property
    def name(self) -> str:
        """As the command line and its folder of seeds have it."""
        return self.check.__name__.removeprefix("check_")

    def seeds(self) -> list[Path]:
        """Where to begin, small files."""
        return sorted((SEEDS / self.name).iterdir())


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            asked.check_target,
            (b"/", b"//", b"..", b"%2e", b"%2F", b"%5c", b";", b"%3b", b"%00", b"#", b"?", b"\\", b"/-/", b"\n", b"%"),
            longest=9000,
        ),
        Target(asked.check_request_head, _HEAD),
        Target(
            asked.check_callers,
            (b"errgate-key: ", b"authorization: ", b"x-api-key: ", b"egk_alice", b"Bearer ", b"passthrough", b"\n",
             b"\\0"),
        ),
        Target(
            asked.check_addresses,
            (b"x-forwarded-for: ", b"10.0.0.1", b"fd00::1", b"203.0.113.7", b"[::1]:80", b"::ffff:10.0.0.1",
             b"%eth0", b","),
        ),
        Target(
            asked.check_identity,
            (b"traceparent: ", b"x-request-id: ", b"00-", b"0" * 32, b"a" * 32, b"-b7ad6b7169203331-01", b"\n\n", b"-"),
        ),
        Target(
            asked.check_admin,
            (b"host: ", b"localhost", b"127.0.0.1", b"[::1]", b"[", b"]", b"@", b":", b"origin: http://",
             b"\xe2\x84\x80",
             b"authorization: Bearer admin-token-of-the-fuzz-target", b"Basic ", b"POST", b"\n"),
        ),
        Target(
            answered.check_reply_head,
            (b"location: ", b"https://vendor.example", b"/base/", b"//", b"/..", b"\\", b"content-length: 5", b"date: ",
             b"connection: ", b"set-cookie: ", b"x-request-id: ", b"errgate-code: ", b"x-accel-redirect: ", b"\n",
             b"304",
             b"transfer-encoding: chunked", b"\\n", b"host", b"HEAD", b"cookies", b"link: ", b"vary: *"),
        ),
        Target(
            answered.check_codings,
            (b"gzip", b"br", b"deflate", b"zstd", b"identity", b", ", b"\n", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd",
             b"\x78\x9c", b"\x50\x2a\x4d\x18"),
            longest=65536,
        ),
        Target(answered.check_normalize, _JSON + _CODES),
        Target(
            answered.check_described,
            (*_JSON, b'"codes":{"A":"conflict"}', b'"statuses":{"423":"conflict"}', b'"patterns":{"a":"conflict"}',
             b'"routes":[{"name":"a","path":"/*"}]', b'"extends":"pixii"', b'"at":"/a"', b'"equals":false', b'"job":{'),
        ),
        Target(answered.check_jobs, _JSON + _CODES),
        Target(answered.check_scrub, (b"Bearer ", b"\n", b"%25", b"%", b"\\", b"&", b'"', b"'", b"/", b"+", b"=",
         b"!")),
        Target(
            spoken.check_vendor_reply,
            (b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 ", b"HTTP/1.1 304 ", b"HTTP/1.1 204 ", b"HTTP/1.1 100 ", b"\r\n\r\n",
             b"\r\n", b"\n", b"\r", b"\0", b"Content-Length: ", b"Transfer-Encoding: chunked\r\n", b"gzip, ",
             b"Connection: close\r\n", b"Upgrade: x\r\n", b": ", b", ", b" ", b"\t", b"0\r\n\r\n", b"2\r\nok\r\n",
             b";a=b", b"chunked", b"HEAD\n", b"GET reset\n", b"\x07", b"\x7f", b"\xe9", b"F" * 16, b"00", b"2, 2"),
        ),
        Target(configured.check_settings, _YAML),
    )
}  # fmt: skip
