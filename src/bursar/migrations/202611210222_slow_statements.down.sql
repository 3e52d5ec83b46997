drop table slow_statement;
