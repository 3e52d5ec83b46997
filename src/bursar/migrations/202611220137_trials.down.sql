drop index subscription_trial;
