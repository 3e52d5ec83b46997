-- Takes the jobs away, those that wait included.
drop function claim_jobs, finish_jobs, reschedule_jobs, release_lane;
drop table job_tick, job_tally, job;
