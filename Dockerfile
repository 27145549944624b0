# Spark for trying out, docker-compose.yaml's profile `spark`: `docker build --target spark .`. Its Python is Airflow's below,
# since functions go from one to the other; executors need numpy and pyarrow.
FROM python:3.12-slim-bookworm AS spark
RUN apt-get update && apt-get install --yes --no-install-recommends curl openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt numpy pyarrow pyspark
ENV PYSPARK_PYTHON=python3.12
# Hadoop refuses a user without a name, and the user id of the processes is chosen when they start; their group is always 0.
RUN chmod g=u /etc/passwd && mkdir --mode=2775 --parents /opt/airflow/segmentation
WORKDIR /tmp
ENTRYPOINT ["/bin/sh", "-c", "whoami >/dev/null 2>&1 || echo \"spark:x:$(id -u):0::/tmp:/bin/sh\" >> /etc/passwd; exec \"$@\"", "--"]

# Airflow with the plugin, the Dags and their data. The Python is named, since Airflow's default may be newer than ours.
FROM apache/airflow:3.3.2-python3.12

# Airflow's own constraints, which lie in its image, for what the image holds parts of: S3 lacks s3fs there, and Spark's
# provider needs what Google's has.
RUN pip install --no-cache-dir --constraint "${HOME}/constraints.txt" \
    "apache-airflow==${AIRFLOW_VERSION}" "apache-airflow-providers-amazon[s3fs]" apache-airflow-providers-apache-spark

# Our constraints for what the plugin adds, and for nothing else: nothing of this needs Airflow, and if Airflow were named
# here, pip would bring all that it needs to our versions, too new for providers that the image holds.
COPY constraints.txt /tmp/constraints.txt
RUN pip install --no-cache-dir --constraint /tmp/constraints.txt \
    kneed pandas plotly pyarrow scikit-learn skops threadpoolctl

# Spark's client as new as its cluster above, and nothing that it needs.
RUN pip install --no-cache-dir --no-deps --constraint /tmp/constraints.txt pyspark-client

COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 docs /opt/airflow/docs
COPY --chown=airflow:0 dags /opt/airflow/dags
COPY --chown=airflow:0 data /opt/airflow/data
# Group 0 may write here: the user id of the processes is chosen when they start, their group is always 0. Made and not
# copied, since COPY's --chmod is for what is in a folder, not for the folder itself.
RUN mkdir --mode=775 /opt/airflow/model
