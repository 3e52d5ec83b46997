"""Benchmarks: one file for each promise of speed, each measured against the machine's own limit in the same run.

What this is: what `bursar bench` runs. Every benchmark brings a PostgreSQL of its own, with the settings Bursar is
released with and fsync on, and drives Bursar's own processes from outside, over HTTP and the queue.
What it is not: a profile. It says how fast, not why.

A figure in `RESULTS.md` is the median of three runs. A budget that is not met is written down as not met.
"""
