"""How fast the service is, and next to what: `make bench`. Neither product nor test.

workload   signed webhooks, as Stripe sends them, each different from all others
load       the load generator, a process of its own
processes  what is measured, started and stopped
variants   the service's webhook endpoint without group commit, and without a database
peers/     what others do with the same webhooks
publishing the outbox without the service, and the broker without the outbox
measures   the rounds: each measure and what it is compared with take turns
report     the table, build/bench.json and the plots
"""
