do $$
begin
  execute replace(pg_get_functiondef('file_gateway_events'::regproc),
    'where b.erased_at is null and g.body_sha256 <> sha256(u.body)', 'where g.body_sha256 <> sha256(u.body)');
end $$;
revoke update (fingerprint, name) on licence_activation from bursar_app;
revoke update (reason) on gateway_event_replay from bursar_app;
revoke update (error) on gateway_event_attempt from bursar_app;
revoke update (body) on gateway_event_differing from bursar_app;
revoke update (body, erased_at) on gateway_event_body from bursar_app;
alter table gateway_event_body drop column erased_at;
alter table customer drop column erased_at;
drop table audit_note, erased_mark, erasure_key, erasure_lane, erasure;
