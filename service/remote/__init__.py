"""One engine for several gateways: a process of its own, reached through shared memory and a socket.

A gateway writes the tensors of a request into a segment of memory that it shares with the engine, and sends a few bytes
that say where they are. The engine runs them as they lie there, in batches with those of all other gateways.
"""
