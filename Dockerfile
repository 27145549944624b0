# Airflow with what the plugin needs on top; the plugin itself is mounted, see docker-compose.yaml.
FROM apache/airflow:3.3.2
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt \
    kneed pandas plotly pyarrow scikit-learn skops threadpoolctl
