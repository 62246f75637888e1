"""The member that is spliced into a job's payload, and the memory of what was counted."""

import json

import pytest

from gateway.jobs import RecentJobs, annotate, free_member

SPLICED = [
    pytest.param(b'{"a":1}', b'{"a":1,"problems":[{},{}]}', id="plain"),
    pytest.param(b"{}", b'{"problems":[{},{}]}', id="empty object"),
    pytest.param(b"{ \n }\n", b'{ \n "problems":[{},{}]}\n', id="empty object with white space"),
    pytest.param(b'{"a":"}"}  \r\n', b'{"a":"}","problems":[{},{}]}  \r\n', id="brace in a string, white space after"),
    pytest.param(b'{"a":{}}', b'{"a":{},"problems":[{},{}]}', id="object in the end"),
    pytest.param(b'{"a":"{"}', b'{"a":"{","problems":[{},{}]}', id="string that ends in a brace"),
    pytest.param(b'{"a":1e400,"a":2}', b'{"a":1e400,"a":2,"problems":[{},{}]}', id="what no writer would repeat"),
    pytest.param(b'{"problems":1}', b'{"problems":1,"errgate_problems":[{},{}]}', id="name taken"),
]


@pytest.mark.parametrize(("body", "expected"), SPLICED)
def test_one_member_is_spliced_in(body: bytes, expected: bytes) -> None:
    """Every byte of the vendor's stays, and one member comes before the closing brace."""
    member = free_member(json.loads(body))
    assert member is not None

    annotated = annotate(body, [b"{}", b"{}"], member)

    assert annotated == expected
    assert len(json.loads(annotated)[member.decode()]) == 2


def test_both_names_can_be_taken() -> None:
    """A job that came through two gateways may have both members, and neither is hidden by a third."""
    assert free_member({"problems": [], "errgate_problems": []}) is None


def test_a_failure_is_new_once() -> None:
    """A failed job is seen on every poll and counted once."""
    jobs = RecentJobs()

    seen = [jobs.first("pixii", "job-1", "/error_code"), jobs.first("pixii", "job-1", "/error_code")]

    assert seen == [True, False]


def test_the_memory_is_bounded() -> None:
    """What was seen longest ago is forgotten first; what is seen again counts as recent."""
    jobs = RecentJobs(remembered=2)
    jobs.first("a")
    jobs.first("b")
    jobs.first("a")

    jobs.first("c")

    assert [jobs.first("a"), jobs.first("b")] == [False, True]
