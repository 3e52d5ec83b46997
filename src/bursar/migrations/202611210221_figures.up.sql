-- What watchers read and nobody counts anew for each of them: figures of the whole installation, taken by a job.
create table installation_figure (
  name text collate "C" not null check (name ~ '^[a-z][a-z0-9_]{0,59}$'),
  label text collate "C" not null check (length(label) <= 60),          -- of few values each: a gateway, a currency, a state
  other_label text collate "C" not null check (length(other_label) <= 60),
  value numeric not null,
  taken_at timestamptz not null,
  primary key (name, label, other_label)
);
grant select, insert, update, delete on installation_figure to bursar_engine;

-- Whether calls go through is no tenant's secret towards those who run the installation; what failed in them is.
grant select (tenant_id, id, subject, operation, state, since) on circuit to bursar_engine;
create policy engine_reads on circuit for select to bursar_engine using (true);
create index circuit_not_closed on circuit (state) where state <> 'closed';
