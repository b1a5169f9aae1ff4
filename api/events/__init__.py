"""The audit history: every change of state is one line in a hash chain."""
