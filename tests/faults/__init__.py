"""The one promise, while everything it stands on fails.

`world` runs real servers and real `payments` processes and can hurt any of them; `lives` draws what
happens at Stripe, and `stripe` sends each webhook of it until it is answered 200; `consumer` is the
users service's side of the broker; `faults` lists what may happen, and `plan` draws from it;
`checker` compares, at the end, what was answered, what is in the tables and what the consumer
received with what ought to be.

The servers are private processes, never containers: a process can be killed, frozen and started
again on its data under the same address.
"""
