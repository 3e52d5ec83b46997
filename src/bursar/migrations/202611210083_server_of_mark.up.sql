-- Which server a worker began its events on: where that is another one now, it was the server that went away, not the worker.
alter table worker_bucket add column server_since timestamptz;
