"""Alerts: rules over what the database knows, one alert for each thing that is wrong, and notices by channels that may fail.

What it is not: it repairs nothing and judges nothing that a rule does not name; metrics and health are others' (`web.metrics`, `/health`).
A database that does not answer is told by `bursar up` itself (`watchman`), which needs none.

Invariants:
- there is one open alert for each (tenant or installation, rule, subject), however many failures and evaluators there are;
- what goes on is told once in a cool-down, and what is resolved is told once;
- no notice is sent inside a transaction; each is a job, and goes a second way when the first is down;
- no jump of a clock tells everything again, and none silences anything;
- who sees an alert of a tenant is of that tenant; the installation's are its operators'.
"""

from bursar.alerts.acting import AlertNotFound, AlertResolved, SilenceInvalid, acknowledge, silence, unsilence
from bursar.alerts.addresses import ChannelAddressInvalid, Target, target_of
from bursar.alerts.channels import (
    Channel,
    ChannelNameTaken,
    ChannelNotFound,
    ChannelsTooMany,
    RouteInvalid,
    RouteNotFound,
    ShownRoute,
    add_channel,
    add_route,
    channel,
    channels_of,
    remove_channel,
    remove_route,
    routes_of,
    send_test,
    switch_channel,
)
from bursar.alerts.choosing import Choice, RuleChoiceInvalid, ShownRule, choose, rules_of
from bursar.alerts.looking import Seen, look
from bursar.alerts.models import SEVERITIES, Severity
from bursar.alerts.rules import RULES, RuleUnknown

__all__ = [
    "RULES",
    "SEVERITIES",
    "AlertNotFound",
    "AlertResolved",
    "Channel",
    "ChannelAddressInvalid",
    "ChannelNameTaken",
    "ChannelNotFound",
    "ChannelsTooMany",
    "Choice",
    "RouteInvalid",
    "RouteNotFound",
    "RuleChoiceInvalid",
    "RuleUnknown",
    "Seen",
    "Severity",
    "ShownRoute",
    "ShownRule",
    "SilenceInvalid",
    "Target",
    "acknowledge",
    "add_channel",
    "add_route",
    "channel",
    "channels_of",
    "choose",
    "look",
    "remove_channel",
    "remove_route",
    "routes_of",
    "rules_of",
    "send_test",
    "silence",
    "switch_channel",
    "target_of",
    "unsilence",
]
