"""Logs say where something broke, and keep the values to themselves."""

import json

import structlog

from bursar.kernel.logs import configure_logs


def test_a_traceback_names_lines_and_no_values(capsys):
    configure_logs()
    card = "4242" * 4

    try:
        int(card[:0])
    except ValueError:
        structlog.get_logger("test").exception("charging_failed")

    line = capsys.readouterr().err.strip().splitlines()[-1]
    told = json.loads(line)
    assert told["event"] == "charging_failed"
    assert told["exception"][0]["frames"][-1]["name"] == "test_a_traceback_names_lines_and_no_values"
    assert card not in line
