alter table alert drop column told_cause;
