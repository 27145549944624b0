"""Hands Airflow the plugin when this folder is its plugins folder.

Installed as a distribution the plugin registers through its entry point instead; registered twice, Airflow
would report an import error.
"""

from importlib.metadata import PackageNotFoundError, distribution

try:
    distribution("airflow-segmentation")
except PackageNotFoundError:
    from airflow_segmentation.plugin import SegmentationPlugin as SegmentationPlugin
