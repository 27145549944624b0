"""The segments that were chosen, as a saved model: made, written, and read without running what is in it.

Operators alone come in.
"""
