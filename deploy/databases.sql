-- What a new PostgreSQL needs: a database for each of the three. They make their tables themselves.
CREATE DATABASE prefect;
CREATE DATABASE mlflow;
CREATE DATABASE optuna;
