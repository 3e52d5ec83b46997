"""Ids as text: what is shown is read back, and what is none of ours is known as such."""

import pytest

from bursar.kernel import ids

SHOWN = "pay_01kapj5m6rfq1v5wx6h0b1a2c3"
NONE_OF_OURS = (
    "",
    "pay",
    "pay_",
    SHOWN.replace("pay_", "pyc_"),
    SHOWN.replace("pay_", ""),
    SHOWN.upper(),
    SHOWN + "0",
    SHOWN[:-1],
    SHOWN[:-1] + "u",
    SHOWN[:-1] + "\u0660",
    SHOWN + " ",
    "pay_z" + SHOWN[5:],
    "pi_3MtwBwLkdIwHu7ix28a3tqPa",
    "\0",
)


def test_an_id_that_is_shown_is_read_back():
    value = ids.new()

    shown = ids.show(ids.PAYMENT, value)

    assert ids.parse(ids.PAYMENT, shown) == ids.parsed_or_none(ids.PAYMENT, shown) == value


@pytest.mark.parametrize("text", NONE_OF_OURS)
def test_a_text_that_is_no_id_of_the_kind_is_refused_where_an_id_is_asked_for_and_none_where_it_may_be_one(text):
    assert ids.parsed_or_none(ids.PAYMENT, text) is None
    with pytest.raises(ids.IdInvalid):
        ids.parse(ids.PAYMENT, text)


def test_no_text_is_no_id():
    assert ids.parsed_or_none(ids.PAYMENT, None) is None
