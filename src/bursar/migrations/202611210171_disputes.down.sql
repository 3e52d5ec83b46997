drop index dispute_due;
drop table dispute_reminder;
drop table dispute_answer_file;
drop table dispute_answer;
