revoke delete on job_tally from bursar_engine;
