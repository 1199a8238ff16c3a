"""The one promise, while everything it stands on fails.

`world` runs real servers and real `payments` processes and can hurt any of them; `stripe` is the
sender, which sends each webhook again until it is answered 200; `consumer` is the users service's
side of the broker; `faults` lists what may happen; `checker` compares, at the end, what was
answered 200, what is in the tables and what the consumer received.

The servers are private processes, never containers: a process can be killed, frozen and started
again on its data under the same address.
"""
