"""A vendor goes from process to process: the supervisor hands its workers the settings, and vendors stand in them."""

import pickle

import pytest

import normalizers
from normalizers import Vendor


@pytest.mark.parametrize("vendor", normalizers.VENDORS.values(), ids=lambda vendor: vendor.name)
def test_a_vendor_is_the_same_elsewhere(vendor: Vendor) -> None:
    """All that it is made of, and what it makes of that."""
    there = pickle.loads(pickle.dumps(vendor))  # noqa: S301  (our own)

    assert there == vendor
    assert [there.row(row.code) for row in vendor.rows] == [vendor.row(row.code) for row in vendor.rows]
