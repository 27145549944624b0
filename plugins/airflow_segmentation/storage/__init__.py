"""Files at a URI: what lets a path through, opens it, and writes it whole or not at all.

Knows nothing of what is in the files. Whoever reads or writes one comes through :mod:`.files`, which asks
`[segmentation] allowed_paths`; :mod:`.outputs` says where a task's own files lie, and removes them.
"""
