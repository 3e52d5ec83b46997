revoke delete on security_event from bursar_engine;
