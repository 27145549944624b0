"""The page: who may look, which runs exist, words, the view, its templates and static files.

Airflow's API server imports it, through the plugin. It reads records and never opens data or a model.
"""
