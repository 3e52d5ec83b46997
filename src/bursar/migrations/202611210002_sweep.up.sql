-- The engine sees when each tenant was last checked and what was found: to look again in turn, and to show a red mark.
grant select on invariant_sweep to bursar_engine;
create policy engine_reads on invariant_sweep for select to bursar_engine using (true);
