"""The contract between tasks and the page: records, how they are made of a sweep, and how they travel.

Operators make records and push them; `www` reads them, from :mod:`.report` and :mod:`.records`, and knows
nothing else of a run. :mod:`.building` is for operators only; :mod:`.figures`, what is drawn of a record, is
for both.
"""
