"""Customer segmentation for Apache Airflow: K-Means over every k, the elbow, and a page to decide on."""
