drop policy engine_reads on invariant_sweep;
revoke select on invariant_sweep from bursar_engine;
