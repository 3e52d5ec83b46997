"""Giving money back in a browser: amount and customer are restated, and a form sent twice asks once."""

import re

from visitors import Visitor


async def test_a_refund_is_asked_for_in_two_steps_and_shown_on_the_payment(lived: Visitor):
    payment = await lived.id_of("pay", "select id from payment where gateway_ref = 'pi_1'")
    left = await lived.stage.value("select amount_minor - refunded_minor from payment where gateway_ref = 'pi_1'")

    form = await lived.page(f"/payments/{payment}/refund")
    confirm = await lived.post(f"/payments/{payment}/refund/confirm", {"amount": "100", "reason": "sorry"})
    refund = re.search(r'name="refund" value="(re_[0-9a-z]+)"', confirm.text)
    assert refund
    sent = {"amount": "100", "reason": "sorry", "refund": refund[1]}
    first = await lived.post(f"/payments/{payment}/refund", sent)
    again = await lived.post(f"/payments/{payment}/refund", sent)
    shown = await lived.page(f"/payments/{payment}")

    assert f'max="{left}"' in form
    assert "1.00 EUR" in confirm.text
    assert "Ann Abara" in confirm.text
    assert (first.status_code, again.status_code) == (303, 303)
    assert await lived.stage.value("select promised_minor from payment where gateway_ref = 'pi_1'") == 100
    assert await lived.stage.value("select count(*) from gateway_call") == 1
    assert "create refund" in shown


async def test_more_than_is_left_is_refused(lived: Visitor):
    payment = await lived.id_of("pay", "select id from payment where gateway_ref = 'pi_1'")
    nothing = {"amount": "999999999", "refund": "re_01kapj5m6rfq1v5wx6h0b1a2c3"}

    answer = await lived.post(f"/payments/{payment}/refund", nothing)
    words = await lived.post(f"/payments/{payment}/refund/confirm", {"amount": "-1"})

    assert (answer.status_code, words.status_code) == (409, 422)
    assert await lived.stage.value("select count(*) from refund where is_asked") == 0
