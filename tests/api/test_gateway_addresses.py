"""Where an account's gateway is: an address that is named is checked before it is kept, and before it is used."""

import pytest

from bursar.kernel import ids
from bursar.kernel.seal import Seal
from bursar.money.gateways.calling import Credentials
from bursar.money.intake.accounts import GatewayAccountNotFound, GatewayKeyMissing, credentials
from bursar.money.intake.addresses import BaseUrlInvalid, check_base_url
from serving import KEY

pytestmark = pytest.mark.anyio

PASSING = [
    "http://127.0.0.1:8421",
    "http://[::1]:8421",
    "http://localhost:1",
    "https://127.0.0.1:8421",
    "https://test.dodopayments.com",
    "https://8.8.8.8/stripe",
]
REFUSED = [
    "",
    "ftp://127.0.0.1",
    "file:///etc/passwd",
    "127.0.0.1:80",
    "http://",
    "http://test.dodopayments.com",
    "https://10.0.0.1",
    "https://192.168.1.1",
    "https://169.254.169.254",
    "http://169.254.169.254",
    "https://100.64.0.1",
    "https://[::ffff:10.0.0.1]",
    "https://[fd00::1]",
    "https://0.0.0.0",
    "https://0177.0.0.1",
    "https://2130706433",
    "https://metadata",
    "https://metadata.internal",
    "https://printer.local",
    "https://user:pw@example.org",
    "https://example.org?x=1",
    "https://example.org#x",
    "https://example.org:port",
    "https://exa mple.org",
    "https://example.org\\@10.0.0.1",
    "https://exämple.org",
    "https://" + "a" * 250 + ".org",
]


@pytest.mark.parametrize("url", PASSING)
def test_an_address_of_this_machine_or_a_public_one_is_kept(url):
    assert check_base_url(url + "/", gateway_name="stripe", is_production=False) == url


@pytest.mark.parametrize("url", REFUSED)
def test_an_address_that_leads_elsewhere_is_refused(url):
    with pytest.raises(BaseUrlInvalid):
        check_base_url(url, gateway_name="stripe", is_production=False)


@pytest.mark.parametrize("name", ["stripe", "dodo", "sandbox", "manual"])
@pytest.mark.parametrize("url", PASSING)
def test_in_production_no_address_can_be_named(name, url):
    with pytest.raises(BaseUrlInvalid):
        check_base_url(url, gateway_name=name, is_production=True)


def test_the_desk_is_at_no_address():
    with pytest.raises(BaseUrlInvalid):
        check_base_url("http://127.0.0.1:1", gateway_name="manual", is_production=False)


async def test_an_account_says_where_its_gateway_is(world):
    new = {"gateway": "stripe", "signing_secrets": ["whsec_abc"], "api_key": "sk_test_1"}

    made = await world.mine.post("/v1/gateway-accounts", new | {"base_url": "http://127.0.0.1:8421/"})
    plain = await world.mine.post("/v1/gateway-accounts", new)

    assert (made.status_code, made.json()["base_url"]) == (201, "http://127.0.0.1:8421")
    assert plain.json()["base_url"] is None
    assert "sk_test_1" not in made.text


async def test_an_account_at_a_refused_address_is_not_made(world):
    new = {"gateway": "stripe", "signing_secrets": ["whsec_abc"], "base_url": "https://10.0.0.1"}
    before = len(await world.mine.data("/v1/gateway-accounts"))

    answer = await world.mine.post("/v1/gateway-accounts", new)

    assert (answer.status_code, answer.json()["code"]) == (422, "base_url_invalid")
    assert answer.json()["errors"][0]["field"] == "base_url"
    assert len(await world.mine.data("/v1/gateway-accounts")) == before


async def test_what_opens_an_account_is_given_to_its_own_tenant_only_and_checked_again(world):
    new = {"gateway": "stripe", "signing_secrets": ["whsec_abc"], "api_key": "sk_test_1"}
    made = await world.mine.post("/v1/gateway-accounts", new | {"base_url": "http://127.0.0.1:8421"})
    account = ids.parse(ids.GATEWAY_ACCOUNT, made.json()["id"])
    stage, other = world.mine.stage, world.theirs.stage

    async def opened(stage, account_id, *, is_production=False):
        async with stage.db.tenant(stage.tenant_id) as tx:
            return await credentials(
                tx, tenant_id=stage.tenant_id, account_id=account_id, seal=Seal(KEY), is_production=is_production
            )

    assert await opened(stage, account) == ("stripe", Credentials("sk_test_1", "http://127.0.0.1:8421"))
    assert "sk_test_1" not in repr(await opened(stage, account))
    with pytest.raises(GatewayAccountNotFound):
        await opened(other, account)
    with pytest.raises(BaseUrlInvalid):
        await opened(stage, account, is_production=True)
    with pytest.raises(GatewayKeyMissing):
        await opened(stage, stage.account_id)

    path = f"/v1/gateway-accounts/{made.json()['id']}/secret-rotations"
    assert (await world.mine.post(path, {"add": ["whsec_def"]})).status_code == 201
    assert (await opened(stage, account))[1].api_key == "sk_test_1"
    replaced = await world.mine.post(path, {"api_key": "sk_test_2"})
    assert (replaced.status_code, replaced.json()["signing_secrets"]) == (201, 2)
    assert (await opened(stage, account))[1].api_key == "sk_test_2"
