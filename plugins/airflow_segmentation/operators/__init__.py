"""The operators: load, scale, sweep, choose k, assign segments, clean up."""

from airflow_segmentation.operators.clean_up import CleanUpOperator
from airflow_segmentation.operators.csv_load import CsvLoadOperator
from airflow_segmentation.operators.elbow import ElbowOperator
from airflow_segmentation.operators.kmeans_predict import KMeansPredictOperator
from airflow_segmentation.operators.kmeans_sweep import KMeansSweepOperator
from airflow_segmentation.operators.min_max_preprocess import MinMaxPreprocessOperator

__all__ = [
    "CleanUpOperator",
    "CsvLoadOperator",
    "ElbowOperator",
    "KMeansPredictOperator",
    "KMeansSweepOperator",
    "MinMaxPreprocessOperator",
]
