"""The operators: load, scale, sweep, choose k, review, publish, log, assign, clean up; and a Dag's form."""

from airflow_segmentation.operators.clean_up import CleanUpOperator
from airflow_segmentation.operators.csv_load import CsvLoadOperator
from airflow_segmentation.operators.elbow import ElbowOperator
from airflow_segmentation.operators.form import form_params, require_range
from airflow_segmentation.operators.kmeans_predict import KMeansPredictOperator
from airflow_segmentation.operators.kmeans_sweep import KMeansSweepOperator
from airflow_segmentation.operators.min_max_preprocess import MinMaxPreprocessOperator
from airflow_segmentation.operators.mlflow_log import MlflowLogOperator
from airflow_segmentation.operators.publish_segments import PublishSegmentsOperator
from airflow_segmentation.operators.review_segments import ReviewSegmentsOperator
from airflow_segmentation.reports.reviewing import Unchanged

__all__ = [
    "CleanUpOperator",
    "CsvLoadOperator",
    "ElbowOperator",
    "KMeansPredictOperator",
    "KMeansSweepOperator",
    "MinMaxPreprocessOperator",
    "MlflowLogOperator",
    "PublishSegmentsOperator",
    "ReviewSegmentsOperator",
    "Unchanged",
    "form_params",
    "require_range",
]
