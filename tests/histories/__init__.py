"""Histories of concurrent clients under faults, and what must hold of them.

Clients (tasks, threads, processes) work on one storage while servers and clients are killed, paused and cancelled; each
call's beginning and end is recorded; every key's calls must be linearizable, and the transactions serialisable in an
order that agrees with real time. `python tests/histories/run.py --help` is the long form; tests/test_histories.py is
the short one, and tests/test_history_checkers.py shows that the checkers tell a bad history from a good one.

- `record`: the record of a call, written so that it survives kill -9.
- `linearizability`: checks the calls of one key.
- `serialisability`, `cycles`: check transactions that append to lists.
- `clients`, `worker`: what is done to a storage, and the process that does it.
- `nemesis`, `rounds`: the faults, and the rounds of load in which they happen.
- `planted`: storages with a fault of their own, which must be found.
"""
