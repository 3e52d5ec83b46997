alter table worker_bucket drop column server_since;
