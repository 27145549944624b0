"""What a sweep leaves behind: its table, the state that a retry goes on from, and several sweeps as one.

Operators write and join sweeps, reports are made of them. The sweeping itself is in `clustering`.
"""
