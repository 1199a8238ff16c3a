"""How fast the service is, and next to what: `make bench`. Neither product nor test.

workload   signed webhooks, as Stripe sends them, each different from all others
load       the load generator, a process of its own
filling    a backlog and a long history, made in the database
processes  what is measured, started and stopped
variants   the webhook endpoint without group commit, without a database, without telemetry
stages     one stage of the worker alone, and publishing without it
peers/     what others do with the same webhooks
stripe_api what all of these call meanwhile: Stripe's API, a collector of traces
bench      how much of everything, for how long, and whether others spoilt a round
meter      processor time, of each process and of others
measures   what is done in each round
findings   samples by round, and the ratios between them
profile    where the time of one webhook goes, by py-spy
report     the table and build/bench.json
plot       lines as SVG
"""
