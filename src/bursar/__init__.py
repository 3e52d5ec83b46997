"""Bursar takes the money and delivers what was paid for, exactly once, and can prove it."""

__version__ = "0.1.0"
