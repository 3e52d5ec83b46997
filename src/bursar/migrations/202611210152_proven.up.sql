-- When the session's password was last asked for; null: when it was opened.
alter table session add column proven_at timestamptz;
