"""The segments that were chosen: a saved model, which is read without running what is in it; and published.

Operators alone come in.
"""
