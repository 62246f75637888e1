"""One pass over a head: what is remembered of names is bounded, and what is remembered is right."""

from gateway.headers.names import LEARNED_LIMIT, LEARNED_LIMIT_BYTES, Fate, Fates, Texts, as_text, sift


def passes(name: bytes) -> bool:
    """A rule of a vendor's: whatever does not begin with x- passes."""
    return not name.startswith(b"x-")


def test_a_name_in_another_case_has_the_same_fate() -> None:
    """Names are compared in lower case, at first and ever after (RFC 9110 section 5.1)."""
    fates = Fates({b"date": Fate.NOTE, b"server": Fate.DROP}, passes)
    head = [(b"Date", b"1"), (b"DATE", b"2"), (b"Server", b"3"), (b"Etag", b"4"), (b"X-Own", b"5"), (b"x-own", b"6")]

    first, again = sift(head, fates), sift(head, fates)

    assert first == again == ([(b"etag", b"4")], {b"date": [b"1", b"2"]})


def test_memory_does_not_grow_with_names() -> None:
    """Ever new names, and long ones, are judged and not remembered."""
    fates = Fates({b"date": Fate.NOTE}, passes)

    passing, _ = sift([(b"name-%d" % number, b"") for number in range(10_000)], fates)
    long = Fates({}, passes)
    sift([(b"n" * (LEARNED_LIMIT_BYTES + 1), b"")], long)

    assert len(passing) == 10_000
    assert len(fates) == 1 + LEARNED_LIMIT
    assert len(long) == 0


def test_a_head_as_text() -> None:
    """Names are in lower case, lines of one name joined in their order, and any byte is a character."""
    head = [(b"Date", b"1"), (b"X-A", b"\xe9"), (b"date", b"2"), (b"DATE", b"3")]

    assert as_text(head) == as_text(head) == {"date": "1, 2, 3", "x-a": "\xe9"}


def test_memory_does_not_grow_with_names_as_text() -> None:
    """Ever new names, and long ones, are read and not remembered."""
    texts = Texts()

    long = texts[b"N" * (LEARNED_LIMIT_BYTES + 1)]
    assert len(texts) == 0
    assert [texts[b"Name-%d" % number] for number in range(10_000)][-1] == "name-9999"

    assert len(texts) == LEARNED_LIMIT
    assert long == "n" * (LEARNED_LIMIT_BYTES + 1)
