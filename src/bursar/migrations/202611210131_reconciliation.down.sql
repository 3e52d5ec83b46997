drop index payment_made;
drop table balance_transaction;
drop table reconciliation_difference;
drop table reconciliation_page;
drop table reconciliation_run;
