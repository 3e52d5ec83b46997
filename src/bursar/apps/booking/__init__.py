"""Booking: classes and appointments of a business, who comes, and what it costs them.

What it is: the first app. It adds a folder, its migrations, a fulfiller for the grant `seat`, routes, pages, jobs and
invariants, each by a line in `bootstrap`. What it is not: money; seats are paid with what the core sold and keeps.

Invariants:
- a class never has more seats given out than it has, but for those that staff gave out knowingly;
- nobody is in two places because two requests came together;
- what is told of a time is told with its zone, by one renderer.
"""
