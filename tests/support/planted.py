"""Faults planted for real: servers that answer wrongly, late or not at all, and databases of another time."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import sqlalchemy


@contextmanager
def version_server(
    version: str, *, status: int = 200, behind: float = 0.0, artifacts: str | None = None, host: str = "127.0.0.1"
) -> Iterator[str]:
    """Answer as a server of ``version`` with a clock that many seconds ``behind``.

    To MLflow's client it has the experiment whose artifacts lie in ``artifacts``, or none.
    """
    experiment = {"experiment_id": "0", "name": "Default", "artifact_location": artifacts}
    experiments = json.dumps({"experiments": [experiment] if artifacts else []}).encode()

    class Handler(BaseHTTPRequestHandler):
        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() - behind)

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = (
                b"" if self.command == "HEAD" else version.encode() if self.path.endswith("/version") else experiments
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_HEAD = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silent_port() -> Iterator[int]:
    """Listen, accept what the kernel accepts, and never say anything."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


def make_database(uri: str, name: str) -> str:
    """Make the database ``name`` on a PostgreSQL and return its URI."""
    url = sqlalchemy.make_url(uri).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return url.set(database=name).render_as_string(hide_password=False)


def make_user(uri: str, name: str, password: str) -> None:
    """Make a user whom PostgreSQL asks for a password, which others of the server are not asked for."""
    engine = sqlalchemy.create_engine(sqlalchemy.make_url(uri), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"CREATE USER \"{name}\" PASSWORD '{password}'"))
        rules = Path(str(connection.execute(sqlalchemy.text("SHOW hba_file")).scalar()))
        rules.write_text(f'local all "{name}" scram-sha-256\nhost all "{name}" all scram-sha-256\n{rules.read_text()}')
        connection.execute(sqlalchemy.text("SELECT pg_reload_conf()"))
    engine.dispose()


def as_user(uri: str, name: str, password: str) -> str:
    """Return ``uri`` with another user and password."""
    return re.sub(r"://[^@]*@", f"://{name}:{quote(password, safe='')}@", uri)


def set_revision(uri: str, revision: str) -> None:
    """Let a database say that its tables are of ``revision``."""
    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = :new"), {"new": revision})
    engine.dispose()


def write_distribution(directory: Path, name: str, version: str) -> None:
    """Let a package of this name and version be installed in ``directory``."""
    written = directory / f"{name.replace('-', '_')}-{version}.dist-info"
    written.mkdir(parents=True)
    (written / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


# Answers everything with success on all addresses of this machine, and says at which port.
OPEN_SERVER = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"[]")
server = HTTPServer(("0.0.0.0", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def read_findings(printed: str) -> dict[str, dict]:
    """Return what ``carousel doctor --json`` printed, by check."""
    return {check["check"]: check for check in json.loads(printed)["checks"]}
