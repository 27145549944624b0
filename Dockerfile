# Airflow with the plugin, the Dags and their data. The Python is named, since Airflow's default may be newer than ours.
FROM apache/airflow:3.3.2-python3.12

# Airflow's own constraints, which lie in its image, for what the image holds parts of: S3 lacks s3fs there.
RUN pip install --no-cache-dir --constraint "${HOME}/constraints.txt" \
    "apache-airflow==${AIRFLOW_VERSION}" "apache-airflow-providers-amazon[s3fs]"

# Our constraints for what the plugin adds, and for nothing else: nothing of this needs Airflow, and if Airflow were named
# here, pip would bring all that it needs to our versions, too new for providers that the image holds.
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt \
    kneed pandas plotly pyarrow scikit-learn skops threadpoolctl

COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 data /opt/airflow/data
# Group 0 may write here: the user id of the processes is chosen when they start, their group is always 0. Made and not
# copied, since COPY's --chmod is for what is in a folder, not for the folder itself.
RUN mkdir --mode=775 /opt/airflow/model
