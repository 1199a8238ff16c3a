"""Stories that the whole platform plays, without a person: `payments sandbox --scenario NAME`.

What users do goes through the gateway with tokens of its own, and through Stripe's hosted pages as
a browser uses them. In the end Stripe's truth, the tables and the users service have to agree.

stage       what a story has at hand: buyers, time, a timeline; `staged` sets one up
buyer       a user with a browser
browser     pages and their forms
timeline    what happened, for people or for machines
agreement   whether all sides believe the same
playing     one scenario from its start to its exit status

The others are the stories: lifecycle, decline, three_d_secure, storm, outage.
"""
